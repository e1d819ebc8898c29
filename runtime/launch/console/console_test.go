package console_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/launch/console"
)

func connect(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestReceive(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	one := unix.UnixRights(int(null.Fd()))
	for name, c := range map[string]struct {
		rights []byte
		sent   bool
		ok     bool
	}{
		"one descriptor":       {one, true, true},
		"no descriptor":        {nil, true, false},
		"two descriptors":      {unix.UnixRights(int(null.Fd()), int(null.Fd())), true, false},
		"nobody has connected": {nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := console.Listen(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if c.sent {
				if err := unix.Sendmsg(connect(t, s.Path), []byte("console"), c.rights, nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			f, err := s.Receive()
			if (err == nil) != c.ok {
				t.Fatalf("got %v, %v", f, err)
			}
			if err == nil {
				f.Close()
			}
		})
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := console.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
