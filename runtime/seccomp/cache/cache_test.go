package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func file(t *testing.T, caps ...string) string {
	t.Helper()
	f, err := File("/x", caps)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	two := file(t, "CAP_CHOWN", "CAP_KILL")
	if filepath.Dir(two) != "/x" {
		t.Errorf("the file is %s", two)
	}
	if again := file(t, "CAP_KILL", "CAP_CHOWN"); again != two {
		t.Errorf("in another order the capabilities have %s, not %s", again, two)
	}
	for _, other := range [][]string{nil, {"CAP_CHOWN"}, {"CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"}} {
		if file(t, other...) == two {
			t.Errorf("%q have the same file", other)
		}
	}
}

func TestReadIsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, ok := Read(path); ok {
		t.Error("a file that is not there is a filter")
	}
	want := Filter{Flags: 4, Program: bytes.Repeat([]byte("12345678"), 200)}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	got, ok := Read(path)
	if !ok || got.Flags != want.Flags || !bytes.Equal(got.Program, want.Program) {
		t.Errorf("got %v, %v", ok, got)
	}
}

func TestDamageIsNoFilter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, Filter{Flags: 1, Program: []byte("12345678")}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		for what, content := range map[string][]byte{"flipped": damaged, "cut": whole[:i], "longer": append(bytes.Clone(whole), byte(i))} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if f, ok := Read(path); ok {
				t.Fatalf("%s at %d: it is the filter %v", what, i, f)
			}
		}
	}
}

func TestOnlyOwnFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Write(path, Filter{Program: []byte("12345678")}); err != nil {
		t.Fatal(err)
	}
	if _, ok := Read(path); !ok {
		t.Fatal("a file of one's own is no filter")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, ok := Read(link); ok {
		t.Error("a link is a filter")
	}
	for _, mode := range []os.FileMode{0o620, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, ok := Read(path); ok {
			t.Errorf("with mode %o, which lets others write, it is a filter", mode)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, ok := Read(path); ok {
		t.Error("a file of somebody else's is a filter")
	}
}
