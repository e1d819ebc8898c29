package launch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func startExternally(t *testing.T, s spec.Settings) (*launch.Process, error) {
	t.Helper()
	_, root := busyboxRoot(t)
	at, state, id := t.TempDir(), t.TempDir(), "lrun-test-"+strings.ReplaceAll(t.Name(), "/", "-")
	c := config(t, s)
	c.Linux.CgroupsPath = "/lrun-test/" + id
	p, err := launch.StartExternal(context.Background(), launch.Request{Root: root, Spec: c, AttachAt: at}, "runc", id, state)
	t.Cleanup(func() {
		if err := launch.DeleteExternal(context.Background(), "runc", id, state, at); err != nil {
			t.Error(err)
		}
	})
	return p, err
}

func runExternally(t *testing.T, s spec.Settings) string {
	t.Helper()
	p, err := startExternally(t, s)
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := io.ReadAll(p.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(); code != 0 || err != nil {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	return string(out)
}

func TestExternalRuntimeSaysWhyNothingRan(t *testing.T) {
	testutil.RequireRoot(t)
	for program, code := range map[string]int{"nothere": 127, "/bin": 126} {
		_, err := startExternally(t, spec.Settings{Args: []string{program}, Env: []string{"PATH=/bin"}})
		var failed *launch.ExecError
		if !errors.As(err, &failed) || failed.ExitCode() != code {
			t.Errorf("%s: got %v, want an ExecError with code %d", program, err, code)
		}
	}
}

// Linux 6.1 showed it: lrun was killed, runc went on, and made /proc where the root had been unmounted.
func TestWhatTheRuntimeMadeWithoutARootGoes(t *testing.T) {
	testutil.RequireRoot(t)
	at := t.TempDir()
	if err := os.MkdirAll(filepath.Join(at, "rootfs", "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, ".pid"), nil, 0o600); err != nil { // runc's, before it is renamed
		t.Fatal(err)
	}
	if err := launch.DeleteExternal(context.Background(), "runc", "id", t.TempDir(), at); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(at); len(left) != 0 || err != nil {
		t.Errorf("got %v, %v, want nothing", left, err)
	}
}

func TestExternalTerminal(t *testing.T) {
	testutil.RequireRoot(t)
	p, err := startExternally(t, spec.Settings{Args: []string{"tty"}, Env: []string{"PATH=/bin"}, Terminal: true})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(p.Console) // ends with EIO
	if code, err := p.Wait(); code != 0 || err != nil || string(out) != "/dev/pts/0\r\n" {
		t.Errorf("got %q, code %d, %v", out, code, err)
	}
}
