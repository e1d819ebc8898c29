package launch_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/launch/self"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// busyboxRoot is a directory with Debian's static busybox, as a detached mount.
func busyboxRoot(t testing.TB) (dir string, root *os.File) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{"bin", "etc", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cp", "/bin/busybox", dir+"/bin/busybox").CombinedOutput(); err != nil {
		t.Fatalf("copy busybox (package busybox-static): %v: %s", err, out)
	}
	for _, applet := range []string{"sh", "true", "cat", "ls", "id", "touch", "mount", "head", "stat", "ip", "hostname", "tty", "env", "wc", "grep", "cut", "sleep", "sort", "readlink", "unshare", "mkdir", "stty"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, reopen(t, dir)
}

func reopen(t testing.TB, dir string) *os.File {
	t.Helper()
	root, err := mount.Mount{Type: "bind", Source: dir}.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func config(t testing.TB, s spec.Settings) *specs.Spec {
	t.Helper()
	c, err := spec.New(s, spec.Facts{Bounding: 1<<41 - 1&^(1<<24), Identity: spec.Identity{Home: "/"}, Devices: spec.DefaultDevices()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ready is all that a start waits for, made before.
type ready struct {
	child  *launch.Child
	group  *cgroup.Group
	filter []byte
}

func (b ready) Child() (*launch.Child, *cgroup.Group, error) { return b.child, b.group, nil }
func (b ready) Filter() (launch.Filter, error)               { return launch.Filter{Program: b.filter}, nil }

// start starts r in group and under filter, both of which may be nil.
func start(r launch.Request, group *cgroup.Group, filter []byte) (*launch.Process, error) {
	b := ready{launch.Spawn(r.Spec.Linux.Namespaces, r.UserNS, group), group, filter}
	p, err := launch.Start(context.Background(), r, b)
	if err != nil {
		err = errors.Join(err, b.child.Abandon())
	}
	return p, err
}

func run(t testing.TB, r launch.Request, stdin string) (stdout, stderr string, code int, err error) {
	t.Helper()
	return runIn(t, r, nil, nil, stdin)
}

func runIn(t testing.TB, r launch.Request, group *cgroup.Group, filter []byte, stdin string) (stdout, stderr string, code int, err error) {
	t.Helper()
	r.AttachAt = t.TempDir()
	r.Interactive = stdin != ""
	p, err := start(r, group, filter)
	if err != nil {
		return "", "", -1, err
	}
	if p.Stdin != nil {
		if _, err := p.Stdin.WriteString(stdin); err != nil {
			t.Error(err)
		}
		p.Stdin.Close()
	}
	all := func(f *os.File) <-chan string {
		out := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(f)
			f.Close()
			out <- string(b)
		}()
		return out
	}
	first, second := all(p.Stdout), all(p.Stderr)
	stdout, stderr = <-first, <-second
	code, err = p.Wait()
	return stdout, stderr, code, err
}

func TestStartRunsTheProgram(t *testing.T) {
	testutil.RequireRoot(t)
	_, root := busyboxRoot(t)
	out, _, code, err := run(t, launch.Request{Root: root, Spec: config(t, spec.Settings{
		Args: []string{"sh", "-c", "echo $0 $$; hostname; id -u; ls /dev; cat; ls /proc/self/fd | wc -l; exit 3"}, Hostname: "box",
		Env: []string{"PATH=/bin"},
	})}, "typed\n")
	if err != nil || code != 3 {
		t.Fatalf("code %d, err %v", code, err)
	}
	for _, want := range []string{"sh 1\n", "box\n", "\n0\n", "null", "urandom", "typed\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	t.Log(out)
}

func TestStartSaysWhyTheProgramDidNotStart(t *testing.T) {
	testutil.RequireRoot(t)
	dir, _ := busyboxRoot(t)
	write := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "text", 0o644)
	write("script", "#!/no/such/shell\n", 0o755)
	write("garbage", "garbage", 0o755)
	for name, c := range map[string]struct {
		program string
		code    int
		reason  string
	}{
		"not in PATH":         {"nothere", 127, "PATH (/bin)"},
		"no such file":        {"/bin/nothere", 127, "no such file in the container"},
		"not executable":      {"/plain", 126, "no permission"},
		"directory":           {"/bin", 126, "is a directory"},
		"missing interpreter": {"/script", 127, "interpreter or loader"},
		"no program":          {"/garbage", 126, "exec format error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := run(t, launch.Request{Root: reopen(t, dir), Spec: config(t, spec.Settings{Args: []string{c.program}, Env: []string{"PATH=/bin"}})}, "")
			var failed *launch.ExecError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, want an ExecError", err)
			}
			if failed.ExitCode() != c.code || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got code %d, %v; want %d, %q", failed.ExitCode(), err, c.code, c.reason)
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	testutil.RequireRoot(t)
	_, root := busyboxRoot(t)
	r := launch.Request{
		Root: root, AttachAt: t.TempDir(), Interactive: true, Size: &unix.Winsize{Row: 40, Col: 100},
		Spec: config(t, spec.Settings{
			Args: []string{"sh", "-c", "tty; stty size; echo console >/dev/console; read line; echo got $line; exit 4"},
			Env:  []string{"PATH=/bin"}, Terminal: true,
		}),
	}
	p, err := start(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	console := bufio.NewReader(p.Console)
	out := ""
	for !strings.HasSuffix(out, "console\r\n") { // what is typed before that is echoed into the middle of it
		line, err := console.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, out+line)
		}
		out += line
	}
	if _, err := p.Console.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	more, _ := io.ReadAll(console) // ends with EIO
	code, err := p.Wait()
	if code != 4 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	for _, want := range []string{"/dev/pts/0\r\n", "40 100\r\n", "console\r\n", "got typed\r\n"} {
		if !strings.Contains(out+string(more), want) {
			t.Errorf("output lacks %q: %q", want, out+string(more))
		}
	}
}

func TestContainerDiesWithTheProcessThatStartedIt(t *testing.T) {
	testutil.RequireRoot(t)
	if dir := os.Getenv("LAUNCH_TEST_ROOT"); dir != "" {
		startAndWait(t, dir)
		return
	}
	dir, _ := busyboxRoot(t)
	parent := exec.Command(os.Args[0], "-test.run=^TestContainerDiesWithTheProcessThatStartedIt$")
	parent.Env = append(os.Environ(), "LAUNCH_TEST_ROOT="+dir, "LAUNCH_TEST_AT="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); n != 1 || err != nil {
		t.Errorf("the container outlived lrun by 10 s: %d, %v", n, err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// startAndWait starts a container that runs for a minute, prints its pid and waits.
func startAndWait(t *testing.T, dir string) {
	r := launch.Request{
		Root: reopen(t, dir), AttachAt: os.Getenv("LAUNCH_TEST_AT"), DieWithParent: true,
		Spec: config(t, spec.Settings{Args: []string{"sleep", "60"}, Env: []string{"PATH=/bin"}}),
	}
	p, err := start(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(strconv.Itoa(p.Pid) + "\n")
	p.Wait()
}

// Long before it has a plan, a child has nothing of the host's tree any more.
func TestChildLeavesTheHost(t *testing.T) {
	testutil.RequireRoot(t)
	child := launch.Spawn(config(t, spec.Settings{Args: []string{"true"}}).Linux.Namespaces, spec.UserNamespace{}, nil)
	defer func() {
		if err := child.Abandon(); err != nil {
			t.Error(err)
		}
	}()
	var mounts string
	for end := time.Now().Add(testutil.Patience(10 * time.Second)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, pid := range children(t) {
			b, _ := os.ReadFile("/proc/" + pid + "/mountinfo") // it may be another child, which has ended
			mounts = string(b)
			if fields := strings.Fields(mounts); strings.Count(mounts, "\n") == 1 && fields[4] == "/" && strings.HasPrefix(fields[5], "ro,") {
				return
			}
		}
	}
	t.Errorf("it still has\n%s", mounts)
}

// children are the process ids of the children of this process.
func children(t *testing.T) []string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, task := range tasks {
		b, _ := os.ReadFile(task) // the thread may have ended
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

func TestAbandonedChildLeavesNothing(t *testing.T) {
	testutil.RequireRoot(t)
	child := launch.Spawn(config(t, spec.Settings{Args: []string{"true"}}).Linux.Namespaces, spec.UserNamespace{}, nil)
	for range 2 {
		if err := child.Abandon(); err != nil {
			t.Fatal(err)
		}
	}
	testutil.LeakCheck(t)
}

// The numbers that a child's descriptors get must not hit that of the executable, whichever are free.
func TestSpawnWithAnyDescriptorFree(t *testing.T) {
	testutil.RequireRoot(t)
	for range 3 {
		holes, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		exe, err := self.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if exe.Fd() < 16 {
			t.Errorf("the executable's descriptor is %d", exe.Fd())
		}
		holes.Close()
		exe.Close()
	}
}
