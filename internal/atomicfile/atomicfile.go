// Package atomicfile writes small files so that a reader, and a crash, sees the old content or the new one, never a mixture.
package atomicfile

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Sync says what must survive a power loss when a call returns. The zero value is Durable: who says nothing loses nothing.
type Sync bool

const (
	// Durable promises that the new content is on disk: the file is synced before it takes its name, its directory after.
	Durable Sync = false
	// Volatile promises atomicity to other processes and nothing after a power loss; it costs no fsync.
	Volatile Sync = true
)

// At returns what is left of s where nothing better than limit is wanted: Durable only if both are.
func (s Sync) At(limit Sync) Sync { return s || limit }

// File makes the content of f durable, if s is; else it does nothing. So do the other methods.
func (s Sync) File(f *os.File) error {
	if s == Volatile {
		return nil
	}
	return f.Sync()
}

// Dir makes the names in the directory at path durable: entries that were made, renamed or removed.
func (s Sync) Dir(path string) error {
	if s == Volatile {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Filesystem makes everything durable that was written on the file system of path, by whomever.
func (s Sync) Filesystem(path string) (err error) {
	if s == Volatile {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: path, Err: err}
	}
	return nil
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".tmp-"

// IsTemp reports whether name, without its directory, is of a file that was being written: one that
// a crash left, or that another process is about to rename. Who lists a directory skips such names.
func IsTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }

// Write replaces or makes the file at path, with exactly the mode perm whatever the umask. Its
// directory must exist. After an error of writing, path is what it was; only when the sync of the
// directory fails is the new content visible without being durable.
func Write(path string, data []byte, perm os.FileMode, s Sync) error {
	return publish(path, data, perm, s, os.Rename)
}

// Create makes the file at path as Write does, but never replaces: when anything has that name, it
// returns an error that is fs.ErrExist. Of many processes that create one path, exactly one succeeds.
// Where the filesystem has files without a name, a process that is killed leaves nothing.
func Create(path string, data []byte, perm os.FileMode, s Sync) error {
	err := createUnnamed(path, data, perm, s)
	if err != nil && !errors.Is(err, fs.ErrExist) { // no such files there, or whatever it is happens again and is told
		return publish(path, data, perm, s, linkOver)
	}
	return err
}

// createUnnamed writes a file that has no name, and gives it its only one.
func createUnnamed(path string, data []byte, perm os.FileMode, s Sync) (err error) {
	dir := filepath.Dir(path)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := fill(f, data, perm, s); err != nil {
		return err
	}
	if err := linkUnnamed(f, path); err != nil {
		return err
	}
	return s.Dir(dir)
}

// linkUnnamed gives a file that has no name one, which is fs.ErrExist if anything has it.
func linkUnnamed(f *os.File, path string) error {
	// The empty path needs CAP_DAC_READ_SEARCH, the other way /proc.
	err := unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return &os.LinkError{Op: "link", Old: filepath.Dir(path), New: path, Err: err}
	}
	return nil
}

// Stream is Write of what write writes, which may be much. Where the filesystem has files without a name, a process that is
// killed leaves nothing, but for the moment between the two names of a file that replaces another.
func Stream(path string, perm os.FileMode, s Sync, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	temp := filepath.Join(dir, tempPrefix+rand.Text())
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_WRONLY, 0o600)
	unnamed := err == nil
	if !unnamed {
		if f, err = os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err = write(f); err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = s.File(f)
	}
	if unnamed {
		if err == nil {
			err = linkUnnamed(f, path)
		}
		switch {
		case err == nil:
			return s.Dir(dir)
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		if err = linkUnnamed(f, temp); err != nil {
			return err
		}
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return s.Dir(dir)
}

// MakeDir is os.MkdirAll, but the names of directories that it makes are durable if s is.
func MakeDir(path string, perm os.FileMode, s Sync) error {
	if isDir(path) {
		return nil
	}
	parent := filepath.Dir(path)
	err := os.Mkdir(path, perm)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := MakeDir(parent, perm, s); err != nil {
			return err
		}
		err = os.Mkdir(path, perm)
	}
	if err != nil && (!errors.Is(err, fs.ErrExist) || !isDir(path)) {
		return err
	}
	return s.Dir(parent)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// WriteJSON is Write of v as indented JSON with a newline at the end.
func WriteJSON(path string, v any, perm os.FileMode, s Sync) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("encode %q: %w", path, err)
	}
	return Write(path, append(data, '\n'), perm, s)
}

// Read is os.ReadFile for a small file of a file system, with half of its system calls. It does not wait for a pipe: what is
// no regular file is an error.
func Read(path string) (data []byte, err error) {
	var fd int
	again(&err, func() { fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return nil, &fs.PathError{Op: "read", Path: path, Err: unix.EISDIR}
	default:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is no regular file: %w", errdefs.ErrDataLoss)}
	}
	data = make([]byte, 0, min(max(st.Size, 0), 1<<20)+1)
	for {
		var n int
		again(&err, func() { n, err = unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		data = slices.Grow(data[:len(data)+n], 1)
	}
}

// again calls fn, which sets err, until no signal interrupts it.
func again(err *error, fn func()) {
	for fn(); errors.Is(*err, unix.EINTR); {
		fn()
	}
}

// ReadJSON decodes the file at path into v. A file that is missing is fs.ErrNotExist; one that is
// not a single JSON value of v's shape is errdefs.ErrDataLoss. Members that v does not know are
// ignored.
func ReadJSON(path string, v any) error {
	data, err := Read(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %q: %w: %w", path, errdefs.ErrDataLoss, err)
	}
	return nil
}

// CutOff tells whether the file at path has no bytes, or none but zeros: that is what a power loss leaves of one that was
// written as Volatile.
func CutOff(path string) bool {
	b, err := Read(path)
	return err == nil && len(bytes.Trim(b, "\x00")) == 0
}

// publish writes a temporary file beside path, gives it its name by name, and syncs as s wants.
func publish(path string, data []byte, perm os.FileMode, s Sync, name func(temp, path string) error) error {
	dir := filepath.Dir(path)
	temp, err := writeTemp(dir, data, perm, s)
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	if err := name(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return s.Dir(dir)
}

// linkOver gives temp the name path unless it is taken: a link, unlike a rename, never replaces.
func linkOver(temp, path string) error {
	if err := os.Link(temp, path); err != nil {
		return err
	}
	return os.Remove(temp)
}

// writeTemp returns the name of a new file in dir that holds data, or leaves none.
func writeTemp(dir string, data []byte, perm os.FileMode, s Sync) (string, error) {
	f, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return "", err
	}
	if err = errors.Join(fill(f, data, perm, s), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// fill gives f its bytes and its mode, and syncs it as s wants.
func fill(f *os.File, data []byte, perm os.FileMode, s Sync) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = s.File(f)
	}
	return err
}
