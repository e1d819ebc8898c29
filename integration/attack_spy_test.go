package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// attackSpy is spy DIRECTORY: while there is no file "stop" in it, it looks at every process that comes to its PID namespace, for
// a program, a root or a descriptor that is the host's (CVE-2016-9962). It makes a file "met" when it has met one that it must
// not look into.
func attackSpy(args []string) error {
	seen, met := map[string]bool{}, false
	for {
		if _, err := os.Stat(filepath.Join(args[0], "stop")); err == nil {
			break
		}
		processes, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return err
		}
		for _, process := range processes {
			if !spyOn(process, seen) || met {
				continue
			}
			met = true
			if err := os.WriteFile(filepath.Join(args[0], "met"), nil, 0o644); err != nil {
				return err
			}
		}
	}
	var errs []error
	for what := range seen {
		errs = append(errs, errors.New("got through: "+what))
	}
	fmt.Println("met", met)
	return errors.Join(errs...)
}

// spyOn notes what of a process that is still lrun can be reached, and tells whether it is one.
func spyOn(process string, seen map[string]bool) bool {
	if !isForeign(process) {
		return false
	}
	var found []string
	for _, link := range []string{"exe", "fd/0"} {
		if to, err := os.Readlink(process + "/" + link); err == nil {
			found = append(found, link+", "+to)
		}
	}
	if environ, err := os.ReadFile(process + "/environ"); err == nil && len(environ) > 0 {
		found = append(found, "the environment")
	}
	for name, file := range map[string]string{"the root": "/root/proc", "the working directory": "/cwd/proc"} {
		if fd, err := unix.Open(process+file, unix.O_RDONLY, 0); err == nil {
			found = append(found, name)
			_ = unix.Close(fd)
		}
	}
	if !isForeign(process) { // it has executed the program meanwhile, which may be looked into
		return false
	}
	for _, what := range found {
		seen[what] = true
	}
	return true
}

// isForeign says whether a process executes what is not the container's, all of which is in /bin, or does not tell.
func isForeign(process string) bool {
	exe, err := os.Readlink(process + "/exe")
	if err != nil {
		return errors.Is(err, unix.EACCES)
	}
	return !strings.HasPrefix(exe, "/bin/")
}
