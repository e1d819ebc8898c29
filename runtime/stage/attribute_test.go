package stage

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAttribute(t *testing.T) {
	file := filepath.Join(t.TempDir(), "exec")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	proc, err := syscall.Open("/proc", syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(proc)
	for name, c := range map[string]struct {
		files  []string
		value  string
		errno  syscall.Errno
		detail string
	}{
		"written":            {[]string{"/proc/self/comm"}, "attribute", 0, ""},
		"the first that is":  {[]string{"/proc/self/nothing", "/proc/self/comm"}, "attribute", 0, ""},
		"not a procfs":       {[]string{file}, "exec x", syscall.EMEDIUMTYPE, file},
		"nothing is there":   {[]string{"/proc/self/nothing"}, "exec x", syscall.ENOENT, "/proc/self/nothing"},
		"no files":           {nil, "exec x", syscall.ENOENT, ""},
		"the kernel refuses": {[]string{"/proc/self/oom_score_adj"}, "much", syscall.EINVAL, "/proc/self/oom_score_adj"},
	} {
		t.Run(name, func(t *testing.T) {
			ch := child{proc: proc}
			errno := ch.attribute(&Step{Op: OpAttribute, Data: c.files, Blob: []byte(c.value)})
			if errno != c.errno || ch.detail != c.detail {
				t.Errorf("got %v (%s), want %v (%s)", errno, ch.detail, c.errno, c.detail)
			}
		})
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 0 {
		t.Errorf("%q was written to a file that is not of procfs, %v", b, err)
	}
}

// The host's procfs is found by a descriptor only.
func TestAttributeOfTheHost(t *testing.T) {
	self, err := syscall.Open("/proc/self", syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(self)
	s := Step{Op: OpAttribute, Data: []string{"/proc/comm"}, Blob: []byte("left")} // no such file but by self
	for name, c := range map[string]struct {
		proc  int
		errno syscall.Errno
	}{
		"by the descriptor":   {self, 0},
		"there was no procfs": {-1, syscall.ENOENT},
	} {
		t.Run(name, func(t *testing.T) {
			ch := child{proc: c.proc}
			if errno := ch.attribute(&s); errno != c.errno {
				t.Errorf("got %v, want %v", errno, c.errno)
			}
		})
	}
}
