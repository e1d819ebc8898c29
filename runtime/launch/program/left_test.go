package program_test

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/launch/program"
)

// What a killed lrun has left of the commands of a runtime ends, and only that.
func TestEndLeft(t *testing.T) {
	command := func(state, id string) *exec.Cmd {
		c := exec.Command("sh", "-c", "sleep 60 & wait", "runtime", "--root", state, "create", id)
		c.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	other, elsewhere, left := command("/state", "other"), command("/elsewhere", "id"), command("/state", "id")
	time.Sleep(50 * time.Millisecond) // until they are what their command lines say
	waited := make(chan error, 1)
	go func() { waited <- left.Wait() }()
	if err := program.EndLeft("id", "/state"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waited:
	case <-time.After(5 * time.Second):
		t.Error("it was left alone")
	}
	for _, c := range []*exec.Cmd{other, elsewhere, left} {
		if c != left && unix.Kill(c.Process.Pid, 0) != nil {
			t.Errorf("%v was ended too", c.Args)
		}
		_ = unix.Kill(-c.Process.Pid, unix.SIGKILL)
		if c != left {
			_ = c.Wait()
		}
	}
}
