package env

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// DefaultConfig is the configuration file, which need not exist.
const DefaultConfig = "/etc/lrun/config.toml"

// Config is the configuration file. Its zero value is no file.
type Config struct {
	// NoNewPrivileges gives containers --security-opt no-new-privileges unless they say otherwise.
	NoNewPrivileges bool `toml:"no-new-privileges"`
	// NoSync is --no-sync unless that is given.
	NoSync bool `toml:"no-sync"`
	// Blobs says what becomes of the blobs of layers that are unpacked.
	Blobs Blobs `toml:"blobs"`
}

// Blobs is what becomes of the blobs of layers that are unpacked: kept, unless it is DropBlobs.
type Blobs string

// The values of Blobs.
const (
	KeepBlobs Blobs = "keep"
	DropBlobs Blobs = "drop"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Blobs) UnmarshalText(text []byte) error {
	switch *b = Blobs(text); *b {
	case KeepBlobs, DropBlobs:
		return nil
	}
	return fmt.Errorf(`blobs = %q: it is "keep" or "drop"`, text)
}

// Config returns what the configuration file says, read when it is first asked for. A file that --config names must
// exist; anything in it that lrun does not know is errdefs.ErrInvalidArgument.
func (e *Env) Config() (Config, error) { return e.configuration() }

// Sync says whether what is stored survives a power loss: yes, unless --no-sync says otherwise, or the configuration file when
// there is no such flag.
func (e *Env) Sync() (atomicfile.Sync, error) { return e.durability() }

func (e *Env) decideSync() (atomicfile.Sync, error) {
	if e.noSyncGiven {
		return atomicfile.Sync(e.noSync), nil
	}
	c, err := e.Config()
	return atomicfile.Sync(c.NoSync), err // after an error nothing is spared
}

func (e *Env) readConfig() (c Config, err error) {
	path := e.config
	if path == "" {
		path = DefaultConfig
	}
	f, err := os.Open(path)
	if e.config == "" && errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&c); err != nil {
		return Config{}, fmt.Errorf("read the configuration %s: %s: %w", path, explain(err), errdefs.ErrInvalidArgument)
	}
	return c, nil
}

// explain says in one line what is wrong, and where.
func explain(err error) string {
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(unknown.Errors) > 0 {
		row, _ := unknown.Errors[0].Position()
		return fmt.Sprintf("line %d: there is no setting %q", row, strings.Join(unknown.Errors[0].Key(), "."))
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := wrong.Position()
		return fmt.Sprintf("line %d: %s", row, wrong.Error())
	}
	return err.Error()
}
