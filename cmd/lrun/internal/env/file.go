package env

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// WriteFile makes the file path of what write writes, for the invoking user only, as a whole: after an error what was
// there before is still there. What is there and is no regular file, such as a device or a pipe, is written to, and a
// symbolic link to a file stays one. It is durable when WriteFile returns, unless --no-sync
// was given: who saves an image may remove it next.
func (e *Env) WriteFile(path string, write func(io.Writer) error) error {
	durable, err := e.Sync()
	if err != nil {
		return err
	}
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	err = atomicfile.Stream(path, 0o600, durable, write)
	if failed, ok := errors.AsType[*os.PathError](err); ok && atomicfile.IsTemp(filepath.Base(failed.Path)) {
		return &os.PathError{Op: "create", Path: path, Err: failed.Err} // nobody has heard of the other name
	}
	return err
}
