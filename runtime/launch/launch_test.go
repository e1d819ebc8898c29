package launch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/launch"
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

func run(t testing.TB, r launch.Request, stdin string) (stdout, stderr string, code int, err error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r.AttachAt = t.TempDir()
	r.Interactive = stdin != ""
	p, err := launch.Start(context.Background(), r)
	if err != nil {
		return "", "", -1, err
	}
	if p.Stdin != nil {
		if _, err := p.Stdin.WriteString(stdin); err != nil {
			t.Error(err)
		}
		p.Stdin.Close()
	}
	out := make(chan string)
	for _, f := range []*os.File{p.Stdout, p.Stderr} {
		go func() {
			b, _ := io.ReadAll(f)
			f.Close()
			out <- string(b)
			close(out)
		}()
		stdout, stderr = stderr, <-out
		out = make(chan string)
	}
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
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := launch.Start(context.Background(), launch.Request{
		Root: root, AttachAt: t.TempDir(), Interactive: true, DieWithParent: true, Size: &unix.Winsize{Row: 40, Col: 100},
		Spec: config(t, spec.Settings{
			Args: []string{"sh", "-c", "tty; stty size; echo console >/dev/console; read line; echo got $line; exit 4"},
			Env:  []string{"PATH=/bin"}, Terminal: true,
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Console.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(p.Console) // ends with EIO
	code, err := p.Wait()
	if code != 4 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	for _, want := range []string{"/dev/pts/0\r\n", "40 100\r\n", "console\r\n", "got typed\r\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output lacks %q: %q", want, out)
		}
	}
}

func TestContainerDiesWithTheThreadThatStartedIt(t *testing.T) {
	testutil.RequireRoot(t)
	_, root := busyboxRoot(t)
	at := t.TempDir()
	started := make(chan *launch.Process)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		p, err := launch.Start(context.Background(), launch.Request{
			Root: root, AttachAt: at, DieWithParent: true,
			Spec: config(t, spec.Settings{Args: []string{"sleep", "60"}, Env: []string{"PATH=/bin"}}),
		})
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	p := <-started
	if p == nil {
		return
	}
	if code, err := p.Wait(); code != 128+9 || err != nil {
		t.Errorf("code %d, %v; want 137", code, err)
	}
}
