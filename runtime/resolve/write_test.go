package resolve

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestWrite(t *testing.T) {
	for name, sync := range map[string]atomicfile.Sync{"durable": atomicfile.Durable, "volatile": atomicfile.Volatile} {
		t.Run(name, func(t *testing.T) {
			defer syscall.Umask(syscall.Umask(0o077))
			dir := t.TempDir()
			for _, host := range []string{"a-longer-name", "box"} { // the second replaces the first
				settings := spec.Settings{Hostname: host}
				if err := Write(dir, settings, sync); err != nil {
					t.Fatal(err)
				}
				resolv, err := Conf(settings)
				if err != nil {
					t.Fatal(err)
				}
				for file, want := range map[string]string{"hosts": Hosts(settings), "hostname": host + "\n", "resolv.conf": resolv} {
					path := filepath.Join(dir, file)
					if b, err := os.ReadFile(path); err != nil || string(b) != want {
						t.Errorf("%s has %q, %v; want %q", file, b, err, want)
					}
					if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o644 {
						t.Errorf("%s: mode %v, %v", file, fi.Mode(), err)
					}
				}
			}
			if err := Write(filepath.Join(dir, "none"), spec.Settings{}, sync); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWriteLabels(t *testing.T) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	if err := Write(dir, spec.Settings{Security: spec.Security{MountLabel: "u:r:t:s0"}}, atomicfile.Volatile); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		b := make([]byte, 100)
		if n, err := unix.Getxattr(filepath.Join(dir, name), "security.selinux", b); err != nil || string(b[:n]) != "u:r:t:s0" {
			t.Errorf("%s: %q, %v", name, b[:max(0, n)], err)
		}
	}
}
