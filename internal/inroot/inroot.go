// Package inroot opens names inside a directory tree that somebody else filled: an image, a container's root, a
// volume. A name is resolved as if the process were chrooted into the tree: "/" and ".." at the top mean the top,
// absolute symbolic links start again at the top, and no link, magic link or rename made meanwhile leads out.
//
// Lookups use openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS and need Linux 5.6.
package inroot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const (
	resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	// openat2 answers EAGAIN when a rename anywhere ran past a "..": the lookup is to be repeated.
	maxAgain = 128
	// maxLinks is the kernel's own limit of symbolic links in one lookup.
	maxLinks = 40
)

// Open opens name inside root with the open(2) flags given; O_CLOEXEC is added. perm counts only when the flags can
// create a file, and is subject to the umask. The error wraps the kernel's errno, so errors.Is with fs.ErrNotExist
// works; a name that tries to leave the root does not fail but stays inside. The caller closes the file.
func Open(root *os.File, name string, flags int, perm os.FileMode) (*os.File, error) {
	fd, err := openat2(root, name, flags, perm)
	if err != nil {
		return nil, fmt.Errorf("open %q in %q: %w", name, root.Name(), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func openat2(root *os.File, name string, flags int, perm os.FileMode) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	if flags&unix.O_CREAT != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE {
		how.Mode = uint64(modeBits(perm))
	}
	defer runtime.KeepAlive(root)
	for again := 0; ; {
		fd, err := unix.Openat2(int(root.Fd()), name, &how)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && again < maxAgain:
			again++
		default:
			return -1, err
		}
	}
}

// MkdirAll makes the directory name inside root with all its parents and returns it opened for reading
// (O_RDONLY|O_DIRECTORY). Symbolic links on the way are followed inside the root, and where one dangles, the
// directory that it names is made. Directories that exist keep their mode; new ones get perm, subject to the umask.
// A component that is neither a directory nor a link to one is ENOTDIR. The caller closes the file.
func MkdirAll(root *os.File, name string, perm os.FileMode) (*os.File, error) {
	fd, err := openat2(root, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) {
		fd, err = mkdirAll(root, name, perm)
	}
	if err != nil {
		return nil, fmt.Errorf("make directory %q in %q: %w", name, root.Name(), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReadFile reads the regular file name inside root, following links inside it. What is not a regular file, or is
// longer than limit bytes, is ErrInvalidArgument; devices and FIFOs are never opened.
func ReadFile(root *os.File, name string, limit int64) ([]byte, error) {
	if err := checkRegular(root, name); err != nil {
		return nil, err
	}
	f, err := Open(root, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Between the two opens the tree's owner may have swapped the file: trust only what was opened.
	if fi, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("stat %q in %q: %w", name, root.Name(), err)
	} else if !fi.Mode().IsRegular() {
		return nil, notRegular(root, name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q in %q: %w", name, root.Name(), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %q in %q: longer than %d bytes: %w", name, root.Name(), limit, errdefs.ErrInvalidArgument)
	}
	return data, nil
}

// Stat returns the status of name inside root; links, the last one too, are followed inside it.
func Stat(root *os.File, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	f, err := Open(root, name, unix.O_PATH, 0)
	if err != nil {
		return st, err
	}
	defer f.Close()
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return st, fmt.Errorf("stat %q in %q: %w", name, root.Name(), err)
	}
	return st, nil
}

func checkRegular(root *os.File, name string) error {
	st, err := Stat(root, name)
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return notRegular(root, name)
	}
	return nil
}

func notRegular(root *os.File, name string) error {
	return fmt.Errorf("read %q in %q: not a regular file: %w", name, root.Name(), errdefs.ErrInvalidArgument)
}

func modeBits(perm os.FileMode) uint32 {
	mode := uint32(perm.Perm())
	if perm&os.ModeSetuid != 0 {
		mode |= unix.S_ISUID
	}
	if perm&os.ModeSetgid != 0 {
		mode |= unix.S_ISGID
	}
	if perm&os.ModeSticky != 0 {
		mode |= unix.S_ISVTX
	}
	return mode
}

func split(name string) []string { return strings.Split(name, "/") }
