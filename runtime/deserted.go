package runtime

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/procstat"
)

// Deserted tells whether the lrun that recorded st as running has ended: what is left is being ended, or the next sweep ends it.
func (st State) Deserted() bool {
	if st.Status != Running || st.LrunPid <= 0 {
		return false
	}
	if now, err := boot.ID(); err != nil || now != st.BootID {
		return err == nil
	}
	if st.PidNS != 0 && st.PidNS != pidNamespace() { // its numbers say nothing here
		return false
	}
	p, err := procstat.Read(st.LrunPid)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	return p.Zombie || st.PidStart != 0 && p.Start > st.PidStart // younger than the program: it has the number of one that ended
}

// pidNamespace is the inode of this process's PID namespace, or 0.
func pidNamespace() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0
	}
	return st.Ino
}

// Going tells whether the container that has the name is about to be gone, and the name to be free: somebody has begun to make
// or to delete it, or it has --rm and is not running, not yet or not any more.
func (s *Store) Going(name string) bool {
	id, _ := s.holder(name)
	if id == "" {
		return false
	}
	if _, err := os.Lstat(s.claimPath(id)); err != nil {
		return false
	}
	c, err := s.Get(id)
	if err != nil {
		return errors.Is(err, errdefs.ErrNotFound)
	}
	st, err := s.recorded(id)
	return c.Remove && err == nil && (st.Status != Running || st.Deserted() || !alive(st))
}
