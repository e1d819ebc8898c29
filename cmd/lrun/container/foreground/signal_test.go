package foreground

import (
	"bufio"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/launch/process"
)

// A signal that comes between the last moment at which a start can be stopped and the first at which there is a container
// to pass it on to is neither lost nor the last one.
func TestSignalWhileTheProgramBegins(t *testing.T) {
	c := exec.CommandContext(t.Context(), "sh", "-c", `trap 'echo stop' TERM; trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done`)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	says := func(want string) {
		t.Helper()
		if line, err := lines.ReadString('\n'); err != nil || line != want+"\n" {
			t.Errorf("%q, %v, want %q", line, err, want)
		}
	}
	says("ready")
	pidfd, err := unix.PidfdOpen(c.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, s := Catch(t.Context())
	s.Listen()
	s.caught <- unix.SIGTERM
	<-ctx.Done()
	program := process.New(c.Process.Pid, pidfd)
	s.Forward(&runtime.Active{Process: program})
	says("stop")
	s.caught <- unix.SIGUSR1
	program.Reap()
	s.Stop()
	if code, err := program.Wait(); code != 7 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}
