package env

import (
	"errors"
	"io"
	"os"
	"path/filepath"
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
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return &os.PathError{Op: "create", Path: path, Err: failed.Err} // nobody has heard of the other name
	}
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = durable.File(f)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return durable.Dir(filepath.Dir(path))
}
