package env

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    Config
		err     string
	}{
		"empty":          {"", Config{}, ""},
		"set":            {"# for everybody\nno-new-privileges = true # so\n", Config{NoNewPrivileges: true}, ""},
		"dropped blobs":  {"blobs = \"drop\"\n", Config{Blobs: DropBlobs}, ""},
		"kept blobs":     {"blobs = 'keep'\n", Config{Blobs: KeepBlobs}, ""},
		"other blobs":    {"\nblobs = \"Drop\"\n", Config{}, `"keep" or "drop"`},
		"blobs are true": {"blobs = true\n", Config{}, "line 1"},
		"unset":          {"no-new-privileges = false\n", Config{}, ""},
		"no sync":        {"no-sync = true\n", Config{NoSync: true}, ""},
		"unknown":        {"\nno-new-privilege = true\n", Config{}, `line 2: there is no setting "no-new-privilege"`},
		"unknown table":  {"[no-new-privileges]\nx = true\n", Config{}, "bool"},
		"another type":   {"no-new-privileges = \"yes\"\n", Config{}, "line 1"},
		"twice":          {"no-new-privileges = true\nno-new-privileges = false\n", Config{}, "no-new-privileges"},
		"not TOML":       {"no new privileges\n", Config{}, "line 1"},
		"bytes":          {"\xff\x00", Config{}, "line 1"},
		"never finished": {"no-new-privileges = ", Config{}, "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			e, _ := newTestEnv(t, best(), "--config", path)
			got, err := e.Config()
			if c.err == "" {
				if err != nil || got != c.want {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), path) ||
				strings.Contains(err.Error(), "\n") || got != (Config{}) {
				t.Errorf("got %+v, %v; want %q", got, err, c.err)
			}
		})
	}
}

func TestConfigThatIsNamedMustExist(t *testing.T) {
	e, _ := newTestEnv(t, best(), "--config", filepath.Join(t.TempDir(), "none"))
	if _, err := e.Config(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// --no-sync goes before the configuration file; a file that cannot be read stops every command that opens the store.
func TestSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("no-sync = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want atomicfile.Sync
	}{
		"nothing said":     {nil, atomicfile.Durable},
		"flag":             {[]string{"--no-sync"}, atomicfile.Volatile},
		"file":             {[]string{"--config", path}, atomicfile.Volatile},
		"flag before file": {[]string{"--config", path, "--no-sync=false"}, atomicfile.Durable},
		"both":             {[]string{"--no-sync", "--config", path}, atomicfile.Volatile},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newTestEnv(t, best(), append(c.args, "--driver=vfs")...)
			got, err := e.Sync()
			if err != nil || got != c.want {
				t.Errorf("got %v, %v", got, err)
			}
			blobs, err := e.Blobs()
			if err != nil || blobs.Sync() != c.want {
				t.Errorf("the blobs have %v, %v", blobs.Sync(), err)
			}
			snapshots, err := e.Snapshots()
			if err != nil || snapshots.Sync() != c.want {
				t.Errorf("the snapshots have %v, %v", snapshots.Sync(), err)
			}
		})
	}
	if err := os.WriteFile(path, []byte("no-sync = perhaps\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, _ := newTestEnv(t, best(), "--config", path)
	if got, err := e.Sync(); got != atomicfile.Durable || !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := e.Images(); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("the store is opened: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("no-new-privileges = true\n[a.b]\nc = [1, {d = 1979-05-27}]\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		e := With(nil, nil, nil)
		e.config = path
		if c, err := e.Config(); err != nil && c != (Config{}) {
			t.Errorf("%q is refused and has an effect", content)
		}
	})
}
