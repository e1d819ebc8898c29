package quota

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
)

// filesystem makes a file system with project quotas and mounts it at dir, or not, if the kernel has none for it. mkfs takes
// the path of its file last.
func filesystem(t *testing.T, kind string, option mount.Option, mkfs ...string) (dir string, quotas bool) {
	t.Helper()
	dir = t.TempDir()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 400<<20); err != nil {
		t.Fatal(err)
	}
	mkfs = append(mkfs, image)
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		testutil.Missing(t, err)
	}
	if out, err := exec.Command(mkfs[0], mkfs[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", mkfs, err, out)
	}
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	device, err := attach(f)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	m := mount.Mount{Type: kind, Source: device.Name(), Options: []mount.Option{option}}
	err = m.At(dir)
	if err != nil && os.Getenv(testutil.SlowEnv) != "" {
		t.Fatalf("the kernel of the virtual machine has project quotas: %v", err)
	}
	t.Cleanup(func() { mount.Unmount(dir) })
	return dir, err == nil
}

// Where the file system has project quotas they are taken and bind root; elsewhere nothing pretends that they do.
func TestProject(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for kind, tt := range map[string]struct {
		option mount.Option
		mkfs   []string
		full   unix.Errno
	}{
		"ext4": {mount.Option{Key: "prjquota"}, []string{"mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"}, unix.EDQUOT},
		"xfs":  {mount.Option{Key: "pquota"}, []string{"mkfs.xfs", "-q"}, unix.ENOSPC},
	} {
		t.Run(kind, func(t *testing.T) {
			dir, quotas := filesystem(t, kind, tt.option, tt.mkfs...)
			l, err := Choose(dir, MinSize, true)
			if !quotas {
				if err != nil || l.Way != Image {
					t.Fatalf("without quotas: %+v, %v", l, err)
				}
				return
			}
			if err != nil || l.Way != Project {
				t.Fatalf("%+v, %v", l, err)
			}
			direct, err := Choose(dir, MinSize, false)
			if want := map[string]Way{"ext4": Image, "xfs": Project}[kind]; err != nil || direct.Way != want {
				t.Errorf("for whom root may write more: %+v, %v", direct, err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, trialPrefix+"*")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			bindsAll(t, l, dir, tt.full)
		})
	}
}

// bindsAll makes two snapshots, of which one fills its limit.
func bindsAll(t *testing.T, l *Limit, dir string, full error) {
	var bases []string
	for _, name := range []string{"one", "other"} {
		base := filepath.Join(dir, name)
		if err := os.Mkdir(base, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := l.Make(t.Context(), base, atomicfile.Durable, false, makeTree); err != nil {
			t.Fatal(err)
		}
		bases = append(bases, base)
	}
	tree := filepath.Join(bases[0], "fs")
	if over, err := OverTree(tree); over != nil || err != nil || l.Over(bases[0]) != nil {
		t.Errorf("laid over: %v, %v", over, err)
	}
	err := bound(func() error { return os.WriteFile(filepath.Join(tree, "big"), make([]byte, 2*MinSize), 0o600) })
	if !errors.Is(err, full) || !Reached(err) {
		t.Errorf("more than the limit: %v, want %v", err, full)
	}
	if err := os.WriteFile(filepath.Join(bases[1], "fs", "small"), make([]byte, MinSize/2), 0o600); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "outside"), make([]byte, 2*MinSize), 0o600); err != nil {
		t.Errorf("outside: %v", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, base := range bases {
		id := projectOf(t, base)
		if used, err := isUsed(d, id); !used || err != nil {
			t.Errorf("project %d: used %t, %v", id, used, err)
		}
		if err := Release(base); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(base, "fs", "big"), make([]byte, 2*MinSize), 0o600); err != nil {
			t.Errorf("without the limit: %v", err)
		}
		if err := os.RemoveAll(base); err != nil {
			t.Fatal(err)
		}
		used, err := isUsed(d, id)
		for end := time.Now().Add(testutil.Patience(5 * time.Second)); used && time.Now().Before(end); { // xfs counts later
			time.Sleep(10 * time.Millisecond)
			used, err = isUsed(d, id)
		}
		if used || err != nil {
			t.Errorf("project %d afterwards: used %t, %v", id, used, err)
		}
		if err := Release(base); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("gone: %v", err)
		}
	}
}

func projectOf(t *testing.T, base string) uint32 {
	t.Helper()
	f, err := os.Open(filepath.Join(base, "fs"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := attributes(f)
	if err != nil || a.project < firstProject {
		t.Fatalf("project %d, %v", a.project, err)
	}
	return a.project
}
