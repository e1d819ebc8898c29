package runtime_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/procstat"
	"github.com/lrun-dev/lrun/runtime"
)

// ended is the number of a process that has ended.
func ended(t *testing.T) int {
	t.Helper()
	c := exec.CommandContext(t.Context(), "true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// running is a recorded state of a program, which need not be there, and of the lrun that started it.
func running(t *testing.T, pid int, start uint64, lrun int) string {
	t.Helper()
	boot, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"status":"running","pid":%d,"pidStart":%d,"lrunPid":%d,"bootID":%q}`, pid, start, lrun, boot)
}

// namespace is the inode of this process's PID namespace.
func namespace(t *testing.T) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// Whoever has the claim of a container whose lrun was killed puts it right, and is not about to record how its program ended.
func TestStateWhileASweepHasTheClaim(t *testing.T) {
	const late = 1 << 62
	for name, c := range map[string]struct {
		state string
		want  runtime.Status
	}{
		"its lrun was killed":                 {running(t, 4194305, late, ended(t)), runtime.Exited},
		"its lrun is there":                   {running(t, 4194305, late, os.Getpid()), runtime.Running},
		"it ended before its start was known": {running(t, 4194305, 0, os.Getpid()), runtime.Running},
		"another process has lrun's number":   {running(t, 4194305, 1, os.Getpid()), runtime.Exited},
		"its lrun is in another pid namespace": {
			strings.Replace(running(t, 4194305, late, ended(t)), `"bootID"`, `"pidNS":1,"bootID"`, 1), runtime.Running,
		},
		"its lrun was killed here": {
			strings.Replace(running(t, 4194305, late, ended(t)), `"bootID"`, fmt.Sprintf(`"pidNS":%d,"bootID"`, namespace(t)), 1), runtime.Exited,
		},
		"its lrun went with the machine": {
			strings.Replace(running(t, 4194305, late, os.Getpid()), `"bootID":"`, `"bootID":"x`, 1), runtime.Exited,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := open(t)
			made := create(t, s, runtime.Container{Name: "web"})
			writeFile(t, filepath.Join(s.Dir(made.ID), "state.json"), c.state)
			claim, err := s.Claim(context.Background(), made.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer claim.Close()
			if st, err := s.State(made.ID); err != nil || st.Status != c.want {
				t.Errorf("got %+v, %v; want %s", st, err, c.want)
			}
		})
	}
}

// A name is waited for only when its container is about to be gone.
func TestGoing(t *testing.T) {
	self, err := procstat.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	runs := running(t, os.Getpid(), self.Start, os.Getpid())
	for name, c := range map[string]struct {
		remove  bool
		state   string // none: there is no record
		claimed bool
		want    bool
	}{
		"its lrun was killed":                     {true, running(t, 4194305, 1, ended(t)), true, true},
		"its lrun was killed, its program is not": {true, running(t, os.Getpid(), self.Start, ended(t)), true, true},
		"its program has ended":                   {true, running(t, 4194305, self.Start, os.Getpid()), true, true},
		"it was being started":                    {true, "", true, true},
		"it runs":                                 {true, runs, true, false},
		"it was created":                          {true, "", false, false},
		"it is being deleted":                     {false, "none", true, true},
		"a directory of nobody":                   {false, "none", false, false},
		"it is to stay":                           {false, running(t, 4194305, 1, ended(t)), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, state := open(t)
			made := create(t, s, runtime.Container{Name: "web", Remove: c.remove})
			switch c.state {
			case "":
			case "none":
				if err := os.Remove(filepath.Join(s.Dir(made.ID), "config.json")); err != nil {
					t.Fatal(err)
				}
			default:
				writeFile(t, filepath.Join(s.Dir(made.ID), "state.json"), c.state)
			}
			if c.claimed {
				writeFile(t, filepath.Join(state, "active", made.ID), "")
			}
			if got := s.Going("web"); got != c.want {
				t.Errorf("got %v", got)
			}
			if s.Going("other") {
				t.Error("a name that nobody has is going")
			}
		})
	}
}
