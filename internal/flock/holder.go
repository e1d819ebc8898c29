package flock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lrun-dev/lrun/internal/procstat"
)

// deadPatience is how long WaitForDead waits. A lock that a child has outlives its process by about a millisecond.
const deadPatience = 2 * time.Second

// Holder returns the process that holds the exclusive lock of path, which may have ended; 0: none is known, perhaps because
// it is in another process namespace. It reads the list of all locks.
func Holder(path string) (int, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	all, err := holders()
	return all[inode(fi)], err
}

// WaitForDead waits until no file in the directory dir is locked by a process that has ended, for two seconds at most. A child
// that was being started when its parent was killed has the parent's locks until it executes its program.
func WaitForDead(ctx context.Context, dir string) error {
	deadline := time.Now().Add(deadPatience)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		held, err := heldByDead(dir)
		if err != nil || !held || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func heldByDead(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	all, err := holders()
	for _, e := range entries {
		fi, infoErr := os.Lstat(filepath.Join(dir, e.Name()))
		if infoErr == nil && dead(all[inode(fi)]) {
			return true, err
		}
	}
	return false, err
}

// dead tells whether a process has ended, whether or not somebody has waited for it.
func dead(pid int) bool {
	if pid == 0 {
		return false
	}
	p, err := procstat.Read(pid)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || err == nil && p.Zombie
}

func inode(fi os.FileInfo) uint64 {
	st, _ := fi.Sys().(*syscall.Stat_t)
	return st.Ino
}

// holders maps the inodes of files with an exclusive lock to who took it (proc_locks(5)). The device is not looked at: some file
// systems, btrfs among them, have another there than in stat(2).
func holders() (map[uint64]int, error) {
	text, err := os.ReadFile("/proc/locks")
	found := map[uint64]int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" { // also those that wait, marked ->
			continue
		}
		pid, pidErr := strconv.Atoi(f[4])
		number, numberErr := strconv.ParseUint(f[5][strings.LastIndexByte(f[5], ':')+1:], 10, 64)
		if pidErr == nil && numberErr == nil {
			found[number] = pid
		}
	}
	return found, err
}
