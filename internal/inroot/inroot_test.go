package inroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// tree makes a root that tries to lead out of itself, and beside it a directory "outside" that must stay as it is.
func tree(t *testing.T) (root *os.File, outside string) {
	t.Helper()
	top := t.TempDir()
	outside = filepath.Join(top, "outside")
	dir := filepath.Join(top, "root")
	for _, d := range []string{outside, dir, dir + "/etc", dir + "/usr/lib", dir + "/tmp"} {
		must(t, os.MkdirAll(d, 0o755))
	}
	must(t, os.WriteFile(outside+"/secret", []byte("host"), 0o600))
	must(t, os.WriteFile(dir+"/etc/passwd", []byte("root:x:0:0\n"), 0o644))
	for name, target := range map[string]string{
		"lib": "usr/lib", "abs": "/etc", "up": "../../../../outside", "evil": outside, "loop": "loop",
		"dangling": "not/yet/there", "absdangling": "/srv/data", "tofile": "etc/passwd", "usr/lib/back": "../../etc",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	must(t, unix.Mkfifo(dir+"/fifo", 0o600))
	f, err := os.Open(dir)
	must(t, err)
	t.Cleanup(func() {
		f.Close()
		entries, err := os.ReadDir(outside)
		must(t, err)
		if len(entries) != 1 || entries[0].Name() != "secret" {
			t.Errorf("something was made outside the root: %v", entries)
		}
	})
	return f, outside
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	root, _ := tree(t)
	for _, tt := range []struct {
		name string
		want error
	}{
		{"etc/passwd", nil},
		{"/etc/passwd", nil},
		{"../../etc/passwd", nil},
		{"abs/passwd", nil},
		{"lib/back/passwd", nil},
		{"tofile", nil},
		{"", nil},
		{"/", nil},
		{"up/secret", fs.ErrNotExist},
		{"evil/secret", fs.ErrNotExist},
		{"loop", unix.ELOOP},
		{"etc/passwd/x", unix.ENOTDIR},
		{"missing", fs.ErrNotExist},
		{strings.Repeat("n", 256), unix.ENAMETOOLONG},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Open(root, tt.name, unix.O_RDONLY, 0)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				f.Close()
			}
		})
	}
}

func TestOpenRefusesMagicLinks(t *testing.T) {
	proc, err := os.Open("/proc")
	must(t, err)
	defer proc.Close()
	if _, err := Open(proc, "self/root/etc", unix.O_PATH, 0); !errors.Is(err, unix.ELOOP) {
		t.Fatalf("magic link: got %v, want ELOOP", err)
	}
}

func TestOpenCreates(t *testing.T) {
	root, _ := tree(t)
	defer unix.Umask(unix.Umask(0))
	if _, err := Open(root, "up/../lib/new", unix.O_CREAT|unix.O_WRONLY, 0o640); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("passed a parent that does not exist: %v", err)
	}
	f, err := Open(root, "lib/new", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o640|os.ModeSetgid)
	must(t, err)
	defer f.Close()
	st, err := Stat(root, "usr/lib/new")
	must(t, err)
	if st.Mode != unix.S_IFREG|unix.S_ISGID|0o640 {
		t.Fatalf("mode %o", st.Mode)
	}
}

func TestMkdirAll(t *testing.T) {
	for _, tt := range []struct {
		name, want string // want: where it must be, seen from the root
		err        error
	}{
		{"etc", "etc", nil},
		{"a/b/c", "a/b/c", nil},
		{"/a//./b/", "a/b", nil},
		{"../../a", "a", nil},
		{"", ".", nil},
		{"lib/x", "usr/lib/x", nil},
		{"lib/back/x", "etc/x", nil},
		{"lib/new/../sibling", "usr/lib/sibling", nil},
		{"dangling/x", "not/yet/there/x", nil},
		{"absdangling", "srv/data", nil},
		{"usr/lib/../../../../out", "out", nil},
		{"up/x", "outside/x", nil},
		{"etc/passwd/x", "", unix.ENOTDIR},
		{"tofile/x", "", unix.ENOTDIR},
		{"missing/../loop/x", "", unix.ELOOP},
		{"fifo", "", unix.ENOTDIR},
		{"a/" + strings.Repeat("n", 256), "", unix.ENAMETOOLONG},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, _ := tree(t)
			f, err := MkdirAll(root, tt.name, 0o755)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			defer f.Close()
			got, err := f.Stat()
			must(t, err)
			want, err := os.Lstat(filepath.Join(root.Name(), tt.want))
			must(t, err)
			if !os.SameFile(got, want) {
				t.Fatalf("%q is not %q", tt.name, tt.want)
			}
			if _, err := f.ReadDir(-1); err != nil {
				t.Fatalf("cannot be read: %v", err)
			}
		})
	}
}

func TestMkdirAllLeavesModes(t *testing.T) {
	root, _ := tree(t)
	must(t, os.Chmod(root.Name()+"/tmp", 0o777|os.ModeSticky))
	defer unix.Umask(unix.Umask(0))
	f, err := MkdirAll(root, "tmp/a/b", 0o750)
	must(t, err)
	f.Close()
	for name, want := range map[string]uint32{"tmp": 0o1777, "tmp/a": 0o750, "tmp/a/b": 0o750} {
		st, err := Stat(root, name)
		must(t, err)
		if st.Mode&^unix.S_IFMT != want {
			t.Errorf("%s has mode %o, want %o", name, st.Mode, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	root, _ := tree(t)
	for _, tt := range []struct {
		name  string
		limit int64
		want  string
		err   error
	}{
		{"etc/passwd", 100, "root:x:0:0\n", nil},
		{"tofile", 11, "root:x:0:0\n", nil},
		{"tofile", 10, "", errdefs.ErrInvalidArgument},
		{"fifo", 100, "", errdefs.ErrInvalidArgument},
		{"etc", 100, "", errdefs.ErrInvalidArgument},
		{"evil/secret", 100, "", fs.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadFile(root, tt.name, tt.limit)
			if !errors.Is(err, tt.err) || string(got) != tt.want {
				t.Fatalf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestStatFollowsInside(t *testing.T) {
	root, _ := tree(t)
	st, err := Stat(root, "tofile")
	must(t, err)
	if st.Size != int64(len("root:x:0:0\n")) {
		t.Fatalf("size %d", st.Size)
	}
	if _, err := Stat(root, "dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("dangling link: %v", err)
	}
}

// Renames all over the tree while names with ".." are looked up: EAGAIN must not reach the caller, and nothing
// outside may be seen.
func TestOpenUnderRenames(t *testing.T) {
	root, _ := tree(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for a, b := root.Name()+"/usr", root.Name()+"/tmp/usr"; ; a, b = b, a {
			select {
			case <-stop:
				return
			default:
				_ = os.Rename(a, b)
			}
		}
	}()
	for range 2000 {
		f, err := Open(root, "lib/../../../../../../etc/passwd", unix.O_RDONLY, 0)
		if errors.Is(err, unix.EAGAIN) {
			t.Error(err)
		}
		if err == nil {
			f.Close()
		}
	}
	close(stop)
	<-done
}
