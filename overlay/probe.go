package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/mount"
)

// Support is what the kernel can do with overlays whose directories lie in one place.
type Support struct {
	// Method is the best that works, when OK.
	Method mount.Method
	// OK says that overlays work there at all.
	OK bool
	// Reason says in one line why each better method failed; it is empty when the best one works.
	Reason string
	// Hindered is the error that kept Probe from finding out: the filesystem is full or read-only, or the process has
	// no descriptors left. Nothing else is said then.
	Hindered error
}

// scratchPrefix begins the names of scratch directories.
const scratchPrefix = ".overlay-probe-"

// Probe makes real overlays in a scratch directory under dir, one method after the other until one
// works: mounted, a file changed, a directory removed and made again. dir must exist. It takes a few
// milliseconds and leaves nothing; what a killed one has left in dir it removes. One process at a time probes in dir.
func Probe(dir string) Support {
	lock, err := lockDirectory(dir)
	if err != nil {
		return unsupported(dir, err)
	}
	left := removeScratch(dir) // before: a read-only filesystem is the probe's to tell
	s := probe(dir)
	if err := errors.Join(left, lock.Unlock()); err != nil && s.OK {
		return unsupported(dir, err)
	}
	return s
}

// unsupported is what err says of overlays in dir.
func unsupported(dir string, err error) Support {
	if hinders(dir, err) {
		return Support{Hindered: err}
	}
	return Support{Reason: oneLine(err)}
}

// lockDirectory waits for the lock of a directory, which must be there.
func lockDirectory(dir string) (*flock.Lock, error) {
	return flock.Exclusive(dir + "/.") // this name is never made as a file
}

// removeScratch removes what probes in dir have left, which is locked.
func removeScratch(dir string) error {
	entries, err := os.ReadDir(dir)
	errs := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), scratchPrefix) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func probe(dir string) Support {
	var reasons []string
	for method := mount.ByDescriptor; method <= mount.ByNumber; method++ {
		err := try(dir, method)
		if err == nil {
			return Support{Method: method, OK: true, Reason: strings.Join(reasons, "; ")}
		}
		if hinders(dir, err) {
			return Support{Hindered: err}
		}
		reasons = append(reasons, fmt.Sprintf("%s: %v", method, oneLine(err)))
	}
	return Support{Reason: strings.Join(reasons, "; ")}
}

// hinders reports whether err comes of how dir and the process are just now, and not of what the kernel can do.
func hinders(dir string, err error) bool {
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

// try makes and uses one overlay.
func try(dir string, method mount.Method) (err error) {
	scratch, err := os.MkdirTemp(dir, scratchPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	var dirs []string
	for _, name := range []string{"top", "bottom", "upper", "work", "bottom/d", "bottom/d/e"} {
		path := filepath.Join(scratch, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		dirs = append(dirs, path)
	}
	if err := os.WriteFile(dirs[1]+"/file", []byte("bottom"), 0o644); err != nil {
		return err
	}
	// Volatile, because without it the end of the mount would sync the whole filesystem.
	m, err := Mount(dirs[:2], dirs[2], dirs[3], Options{Volatile: true, Method: method})
	if err != nil {
		return err
	}
	root, err := m.Open()
	if err != nil {
		return err
	}
	return errors.Join(use(root), root.Close())
}

// use copies a file up, and replaces a directory by an empty one, for which the upperdir needs
// trusted xattrs, whiteouts and rename flags.
func use(root *os.File) error {
	at := int(root.Fd())
	fd, err := unix.Openat(at, "file", unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copy a file up: %w", err)
	}
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("copy a file up: %w", err)
	}
	for _, name := range []string{"d/e", "d"} {
		if err := unix.Unlinkat(at, name, unix.AT_REMOVEDIR); err != nil {
			return fmt.Errorf("remove a lower directory: %w", err)
		}
	}
	if err := unix.Mkdirat(at, "d", 0o755); err != nil {
		return fmt.Errorf("make a removed directory again: %w", err)
	}
	if err := unix.Unlinkat(at, "d", unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("make a removed directory again, its old content is back: %w", err)
	}
	return nil
}

// oneLine shortens an error to what a person needs: the operation and the cause, no options.
func oneLine(err error) string {
	if e, ok := errors.AsType[*mount.Error](err); ok {
		op, _, _ := strings.Cut(e.Op, ` "`) // without the directory
		err = fmt.Errorf("%s: %w", op, e.Err)
	}
	return strings.ReplaceAll(err.Error(), "\n", ", ")
}
