package stage

import (
	"errors"
	"syscall"
	"testing"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// talk gives the parent's end of a socket on which a stage has sent messages and which it then closed.
func talk(t *testing.T, say func(socket int)) int {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	say(pair[1])
	if err := syscall.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(pair[0]) })
	return pair[0]
}

func TestWait(t *testing.T) {
	ready := func(s int) {
		if _, err := syscall.Write(s, []byte{executing}); err != nil {
			t.Fatal(err)
		}
	}
	failed := func(s int) { report(s, 7, syscall.ENOENT, "/bin/x") }
	for name, c := range map[string]struct {
		say     func(int)
		failure *Failure
		err     error
	}{
		"executed":                     {ready, nil, nil},
		"died":                         {func(int) {}, nil, ErrDied},
		"failed in a step":             {failed, &Failure{7, syscall.ENOENT, "/bin/x"}, nil},
		"failed to execute":            {func(s int) { ready(s); failed(s) }, &Failure{7, syscall.ENOENT, "/bin/x"}, nil},
		"failed before the first step": {func(s int) { report(s, noStep, syscall.EBADMSG, "") }, &Failure{-1, syscall.EBADMSG, ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Wait(talk(t, c.say))
			if !errors.Is(err, c.err) || (f == nil) != (c.failure == nil) || f != nil && *f != *c.failure {
				t.Errorf("got %+v, %v", f, err)
			}
		})
	}
}

func TestPlanAndDescriptorsArrive(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	many := make([]int, maxFDs+3) // more than one message takes
	for i := range many {
		many[i] = pipe[1]
	}
	sent := make(chan error, 1)
	go func() { sent <- Send(pair[0], pipe[0], many) }()
	m := sys.NewMemory(1 << 16)
	fds, errno := receive(pair[1], &m)
	if errno != 0 || len(fds) != len(many)+1 {
		t.Fatalf("%d descriptors, %v", len(fds), errno)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Write(fds[len(fds)-1], []byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := syscall.Read(fds[0], make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the first is not the plan's: %d, %v", n, err)
	}
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
