package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// attackSpy is spy UNTIL: while there is no file UNTIL, it looks at every process that comes to its PID namespace, for a
// program, a root or a descriptor that is the host's (CVE-2016-9962).
func attackSpy(args []string) error {
	seen, looked := map[string]bool{}, 0
	for {
		if _, err := os.Stat(args[0]); err == nil {
			break
		}
		processes, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return err
		}
		for _, process := range processes {
			if process != fmt.Sprintf("/proc/%d", os.Getpid()) {
				looked++
				spyOn(process, seen)
			}
		}
	}
	var errs []error
	for what := range seen {
		errs = append(errs, errors.New("got through: "+what))
	}
	fmt.Println("looked", looked > 0)
	return errors.Join(errs...)
}

// spyOn notes what of a process that is still lrun can be reached.
func spyOn(process string, seen map[string]bool) {
	name, err := os.ReadFile(process + "/comm")
	if err != nil {
		return
	}
	exe, err := os.Readlink(process + "/exe")
	if err == nil && strings.HasSuffix(exe, "lrun") {
		seen["the executable of "+strings.TrimSpace(string(name))] = true
		if fd, err := unix.Open(process+"/fd", unix.O_RDONLY, 0); err == nil {
			seen["the descriptors"] = true
			_ = unix.Close(fd)
		}
		if fd, err := unix.Open(process+"/root/proc/1/root", unix.O_PATH, 0); err == nil {
			seen["the root"] = true
			_ = unix.Close(fd)
		}
	}
}
