// Package format says of which form a root is: format.json.
package format

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// What format.json says.
const (
	name    = "lrun"
	version = 1
)

type format struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// Init makes root the root of a store, of mode 0700, unless it is one already. It refuses a
// root whose format is newer than this lrun knows (errdefs.ErrNotImplemented), and a directory that
// holds something else (errdefs.ErrInvalidArgument): a mistyped --root must not be taken over. When
// root is a root already it costs one read. What it makes is durable if sync is.
func Init(root string, sync atomicfile.Sync) error {
	found, err := readFormat(root)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createRoot(root, sync); err != nil {
			return fmt.Errorf("make root %q: %w", root, err)
		}
		found, err = readFormat(root)
	}
	if err != nil {
		return fmt.Errorf("open root %q: %w", root, err)
	}
	return found.known(root)
}

// Check refuses the roots that Init refuses and makes none: a directory that is none yet, or is not there, is accepted.
func Check(root string) error {
	found, err := readFormat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open root %q: %w", root, err)
	}
	return found.known(root)
}

// known refuses what this lrun does not know.
func (f format) known(root string) error {
	switch {
	case f.Format != name || f.Version < 1:
		return fmt.Errorf("open root %q: format.json names format %q, version %d, which is not lrun's: %w",
			root, f.Format, f.Version, errdefs.ErrInvalidArgument)
	case f.Version > version:
		return fmt.Errorf("open root %q: its format has version %d, this lrun knows up to %d: use a newer lrun, or another --root: %w",
			root, f.Version, version, errdefs.ErrNotImplemented)
	}
	return nil
}

func readFormat(root string) (format, error) {
	var f format
	err := atomicfile.ReadJSON(filepath.Join(root, "format.json"), &f)
	return f, err
}

// createRoot makes root, or takes over an empty directory. Another process may do the same.
func createRoot(root string, sync atomicfile.Sync) error {
	if err := atomicfile.MakeDir(root, 0o700, sync); err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// What another process, or one that died, has of format.json; and what mkfs makes.
		name := e.Name()
		if atomicfile.IsTemp(name) || name == "format.json" || name == "lost+found" {
			continue
		}
		if _, err := os.Lstat(filepath.Join(root, "format.json")); err != nil { // else another process was faster
			return fmt.Errorf("the directory is neither empty nor the root of an lrun (it holds %q and no format.json): choose another --root: %w",
				name, errdefs.ErrInvalidArgument)
		}
	}
	// Layers hold setuid programs: nobody but root may come near them.
	if err := os.Chmod(root, 0o700); err != nil {
		return err
	}
	document := fmt.Sprintf("{\"format\":%q,\"version\":%d}\n", name, version)
	err = atomicfile.Create(filepath.Join(root, "format.json"), []byte(document), 0o600, sync)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
