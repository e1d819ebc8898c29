package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// EndLeft kills the commands that a killed lrun has given a runtime for the container id, with its state below state, and returns
// when they have ended: until then they would make what is being removed. They were killed with lrun, but that takes a moment, and
// what a runtime starts in its turn is not. It looks at every process.
func EndLeft(id, state string) error {
	deadline := time.Now().Add(Patience)
	for {
		pids, err := commands(id, state)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end processes %v of a runtime: they do not die: %w", pids, errdefs.ErrFailedPrecondition)
		}
		for _, pid := range pids {
			if err := end(pid, id, state); err != nil {
				return fmt.Errorf("end process %d of a runtime: %w", pid, err)
			}
		}
	}
}

// commands returns the processes that are commands for the container id.
func commands(id, state string) ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(filepath.Base(name)); err == nil && isCommand(pid, id, state) {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// isCommand tells whether a process was started by Run for the container id, directly or through a script.
func isCommand(pid int, id, state string) bool {
	args := strings.Split(strings.TrimSuffix(commandLine(pid), "\x00"), "\x00")
	root := slices.Index(args, "--root")
	return root >= 0 && root+1 < len(args) && args[root+1] == state && args[len(args)-1] == id
}

// commandLine is that of a process, as long as one of its threads has not ended.
func commandLine(pid int) string {
	proc := "/proc/" + strconv.Itoa(pid)
	text, _ := os.ReadFile(proc + "/cmdline")
	if len(text) > 0 {
		return string(text)
	}
	threads, _ := os.ReadDir(proc + "/task")
	for _, t := range threads[min(1, len(threads)):] {
		if text, _ := os.ReadFile(proc + "/task/" + t.Name() + "/cmdline"); len(text) > 0 {
			return string(text)
		}
	}
	return ""
}

// end kills a process and those of its group, if it is still that command, and waits a second for its end.
func end(pid int, id, state string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	held := os.NewFile(uintptr(fd), "pidfd")
	defer held.Close()
	if !isCommand(pid, id, state) { // the number was used again
		return nil
	}
	if group, err := unix.Getpgid(pid); err == nil && group == pid { // as Run has started it: with all that it has started in its turn
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, 1000); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}
