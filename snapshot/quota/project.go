package quota

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/flock"
)

// errNoProjects says that a file system has no project quotas that bind.
var errNoProjects = errors.New("project quotas do not work here")

// Projects are taken from firstProject up to the largest that all tools can show. Those that people give are small.
const (
	firstProject = 1 << 20
	lastProject  = 1<<31 - 1
)

// startProject gives the empty directory base a project that nobody has, with the limit. What is made in base has it too.
func (l *Limit) startProject(base string) error {
	lock, err := flock.Exclusive(filepath.Dir(base) + "/.") // who else looks for one
	if err != nil {
		return err
	}
	return errors.Join(l.startLocked(base), lock.Unlock())
}

// startLocked is startProject for who has the lock. The number is written down first, so that what a killed process has set can be
// taken back.
func (l *Limit) startLocked(base string) error {
	dir, err := os.Open(base)
	if err != nil {
		return err
	}
	id, err := freeProject(dir)
	if err == nil {
		err = os.WriteFile(filepath.Join(base, projectName), []byte(strconv.FormatUint(uint64(id), 10)), 0o600)
	}
	if err == nil {
		err = setProject(dir, id)
	}
	if err == nil {
		err = setLimit(dir, id, l.Size)
	}
	return errors.Join(err, dir.Close())
}

// freeProject returns a project that has neither files nor a limit on the file system of dir.
func freeProject(dir *os.File) (uint32, error) {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails: crypto/rand
		id := firstProject + binary.NativeEndian.Uint32(b[:])%(lastProject-firstProject)
		used, err := isUsed(dir, id)
		if !used || err != nil {
			return id, err
		}
	}
}

// Release takes back what the file system knows of a limit of the snapshot whose directory is base, before that is deleted.
// Without a project it costs one look.
func Release(base string) error {
	b, err := os.ReadFile(filepath.Join(base, projectName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	id := numberOf(b)
	if id < firstProject { // killed while it was written: nothing has it
		return nil
	}
	dir, err := os.Open(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = setLimit(dir, id, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) { // mounted without quotas by now
		err = nil
	}
	return errors.Join(err, dir.Close())
}

// numberOf reads a number of a project, or 0 where none is.
func numberOf(b []byte) uint32 {
	id, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// The trial: a project that may take trialLimit gets trialSize.
const (
	trialPrefix = ".quota-trial-"
	trialLimit  = 64 << 10
	trialSize   = 4 * trialLimit
)

// tryProject returns nil when a project quota binds what root writes in dir, and errNoProjects when there are none.
func tryProject(dir string, merged bool) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// A directory that hands a project down to what is moved into it lets no other one in.
	if attr, err := attributes(d); err != nil || attr.flags&inherit != 0 {
		return errNoProjects
	}
	if _, err := isUsed(d, firstProject); err != nil {
		return errNoProjects
	}
	lock, err := flock.Exclusive(dir + "/.")
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	errs := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trialPrefix) { // of a killed process
			errs = append(errs, discardTrial(filepath.Join(dir, e.Name())))
		}
	}
	path, err := os.MkdirTemp(dir, trialPrefix)
	if err == nil {
		err = errors.Join(try(path, merged), discardTrial(path))
	}
	return errors.Join(append(errs, err, lock.Unlock())...)
}

// try fills a project in the new directory path.
func try(path string, merged bool) (err error) {
	l := Limit{Size: trialLimit, Way: Project}
	if err := l.startLocked(path); err != nil {
		return fmt.Errorf("%w: %w", errNoProjects, err)
	}
	write := func() error { return os.WriteFile(filepath.Join(path, "file"), make([]byte, trialSize), 0o600) }
	if merged {
		err = bound(write)
	} else {
		err = write()
	}
	switch {
	case err == nil:
		return fmt.Errorf("%w: they do not bind root", errNoProjects)
	case Reached(err):
		return nil
	}
	return err
}

// bound calls fn without CAP_SYS_RESOURCE, which ext4 lets go beyond quotas, and which overlayfs lays down for all that it does.
func bound(fn func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var had, data [2]unix.CapUserData
		if err = unix.Capget(&header, &had[0]); err != nil {
			return
		}
		data = had
		data[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
		if err = unix.Capset(&header, &data[0]); err != nil {
			return
		}
		err = fn()
		if restored := unix.Capset(&header, &had[0]); restored == nil {
			runtime.UnlockOSThread() // else the thread ends here
		}
	}()
	<-done
	return err
}

func discardTrial(path string) error { return errors.Join(Release(path), os.RemoveAll(path)) }
