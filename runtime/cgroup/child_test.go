package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// childEnv makes the test binary a process in a group: it does what the variable says once it reads a byte.
const childEnv = "LRUN_CGROUP_CHILD"

func TestMain(m *testing.M) {
	words := strings.Fields(os.Getenv(childEnv))
	if len(words) == 0 {
		os.Exit(m.Run())
	}
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		os.Exit(1)
	}
	if err := behave(words); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func behave(words []string) error {
	switch words[0] {
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "hog": // until the kernel kills it
		for {
			b := make([]byte, 8<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			runtime.KeepAlive(b)
			hoard = append(hoard, b)
		}
	case "forks": // how many
		for n := 0; ; n++ {
			if err := exec.Command("/bin/sleep", "1000").Start(); err != nil {
				fmt.Println(n, errors.Is(err, unix.EAGAIN))
				time.Sleep(time.Hour)
			}
		}
	case "bomb": // processes that fork another and go, for ever
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return err
		}
		go reap()
		fmt.Println("ready")
		for n := 0; ; n++ { // a line of them ends where the group is full
			err := exec.Command("/bin/sh", "-c", "f() { f & }; f").Start()
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				return err
			}
			if n > 20 {
				time.Sleep(5 * time.Millisecond)
			}
		}
	case "count": // as long as it runs
		for n := 0; ; n++ {
			fmt.Println(n)
			time.Sleep(time.Millisecond)
		}
	case "open": // devices
		for _, path := range words[1:] {
			fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0)
			if err == nil {
				err = unix.Close(fd)
			}
			fmt.Println(path, errors.Is(err, unix.EPERM))
		}
	case "tasks": // enter by the descriptors, with one thread, and go on there
		runtime.LockOSThread()
		for _, fd := range words[1:] {
			n, err := strconv.Atoi(fd)
			if err != nil {
				return err
			}
			if _, err := unix.Write(n, []byte("0")); err != nil {
				return err
			}
		}
		return unix.Exec("/bin/cat", []string{"cat", "/proc/self/cgroup"}, nil)
	}
	return nil
}

// reap takes leave of everything that ends below this process: the dead count for the limit of processes.
func reap() {
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil {
			time.Sleep(time.Millisecond)
		}
	}
}

// hoard is what a hog holds.
var hoard [][]byte

// child is a process in a group.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs a child in g, and waits until it says the first line unless that is empty.
func start(t *testing.T, g *Group, behaviour string, files ...*os.File) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience(time.Minute))
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{childEnv + "=" + behaviour}
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	dir, err := g.FD()
	if err != nil {
		t.Fatal(err)
	}
	if dir != nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	c := &child{Cmd: cmd}
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	if len(files) == 0 {
		for _, m := range g.Mounts() {
			if err := os.WriteFile(filepath.Join(m.Mountpoint, m.Dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	return c
}

// line returns the next line that a child says.
func (c *child) line(t *testing.T) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// parent is where the tests of this process make their groups.
var parent = fmt.Sprintf("/lrun-cgroup-test-%d", os.Getpid())

// detected returns the hierarchies of this host, and takes care that tests leave nothing in them.
func detected(t testing.TB) *Hierarchy {
	t.Helper()
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	h, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Mounts()) == 0 {
		t.Fatal("no cgroup hierarchy is mounted")
	}
	t.Cleanup(func() {
		g, err := h.Open(parent)
		if err == nil {
			err = errors.Join(g.Kill(), g.Remove())
		}
		if err != nil {
			t.Error(err)
		}
	})
	return h
}
