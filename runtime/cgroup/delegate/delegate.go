// Package delegate hands controllers of version 2 of cgroups down from group to group, and makes room for that in the topmost one that
// a process sees: as long as there are processes in it, the kernel refuses most.
package delegate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// initGroup is where the processes go, below the topmost cgroup: the image docker:dind has them in a group of that name, too.
const initGroup = "init"

// maxRounds is how often processes that were started meanwhile are moved too.
const maxRounds = 10

// MakeRoom hands controllers down from dir, the topmost cgroup that is visible, of version 2. Where the kernel refuses one
// because of the processes in dir, it moves them into the new cgroup init in dir first. So those controllers come first that
// the kernel never hands down beside processes, such as memory and io. Processes that this
// one does not see, for they are in another PID namespace, stay. Whether a controller can be had otherwise is not MakeRoom's
// affair: an error says that a process could not be moved. The root of the hierarchy never has to make room.
func MakeRoom(dir string, controllers []string) error {
	refused := func(c string) bool { return errors.Is(enable(dir, c), unix.EBUSY) }
	for range maxRounds {
		if !slices.ContainsFunc(controllers, refused) {
			return nil
		}
		if err := moveAll(dir); err != nil {
			return fmt.Errorf("make room in cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// AtTop tells whether a process in the cgroup place is in top, the topmost one that is visible, or in the one to which MakeRoom moves
// processes: another one may be moving the rest just now, and as long as it does, top must make room.
func AtTop(place, top string) bool { return place == top || place == filepath.Join(top, initGroup) }

// HandDown makes a controller available in the group dir of the hierarchy mounted at mountpoint, from the top downwards. On error it
// says in which directory that failed; it is EBUSY where there are processes.
func HandDown(mountpoint, dir, controller string) (failed string, err error) {
	at := mountpoint
	for part := range strings.SplitSeq(dir[1:], "/") {
		if err := enable(at, controller); err != nil {
			return at, err
		}
		at += "/" + part
	}
	return at, nil
}

// HandedDown are the controllers that a group made below the group dir of the hierarchy mounted at mountpoint will have; a group
// that is not there hands down none. Another process may be handing one down just now: the kernel shows it first
// and makes its files then, and mkdir waits until they are there. So this is asked before a group is made: in one that was
// there, what is shown may have no files yet (seen on Linux 6.1).
func HandedDown(mountpoint, dir string) ([]string, error) {
	list, err := os.ReadFile(filepath.Join(mountpoint, dir, "cgroup.subtree_control"))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return strings.Fields(string(list)), err
}

func enable(dir, controller string) error {
	return write(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller)
}

// moveAll moves the processes that are in the cgroup dir now.
func moveAll(dir string) error {
	aside := filepath.Join(dir, initGroup)
	if err := unix.Mkdir(aside, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make cgroup %s: %w", aside, err)
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for pid := range strings.FieldsSeq(string(procs)) {
		if pid == "0" { // somebody whom nobody here sees: a 0 that is written would be this process
			continue
		}
		if err := write(filepath.Join(aside, "cgroup.procs"), pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("move process %s to one below it: %w", pid, err)
		}
	}
	return nil
}

func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
