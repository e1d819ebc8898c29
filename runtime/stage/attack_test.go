package stage

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// swapTries is how many lookups are made while names change. Two thousand took the root's protection out of a build in
// which it was left away, every time.
const swapTries = 1000

// TestNothingIsMadeOutsideUnderSwaps makes files, directories and mount targets below a name that is now a directory,
// now a link out of the root.
func TestNothingIsMadeOutsideUnderSwaps(t *testing.T) {
	root, dir, outside := trap(t)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "a"), 0o755), os.Symlink(outside, filepath.Join(dir, "b"))); err != nil {
		t.Fatal(err)
	}
	var swaps atomic.Int64
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				swaps.Add(1)
				if err := unix.Renameat2(root, "a", root, "b", unix.RENAME_EXCHANGE); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	c := &child{root: root}
	made := 0
	for i := range swapTries {
		name := "a/x/" + strconv.Itoa(i)
		for _, s := range []Step{{Path: name}, {Path: name + "f", Flags: IsFile}, {Path: "a/n" + strconv.Itoa(i), Flags: NoSymlinks}} {
			if fd, errno := c.target(&s); errno == 0 {
				made++
				sys.Close(fd)
			}
		}
		runtime.Gosched()
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) > 0 {
		t.Errorf("made outside the root: %v, %v", entries, err)
	}
	if made == 0 || swaps.Load() < 100 {
		t.Errorf("%d made in %d swaps: nothing was tried", made, swaps.Load())
	}
}

// TestStageIsOutOfReach stops a stage that has given up its capabilities but has the host's files open still, and lets a
// process with as many capabilities look at it, which a neighbour in its PID namespace is (CVE-2016-9962).
func TestStageIsOutOfReach(t *testing.T) {
	testutil.RequireRoot(t)
	if pid, err := strconv.Atoi(os.Getenv("STAGE_TEST_VICTIM")); err == nil {
		os.Exit(reach(pid))
	}
	const caps = 1<<0 | 1<<1 | 1<<6 | 1<<7 | 1<<8
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	socket := os.NewFile(uintptr(pair[1]), "socket")
	defer socket.Close()
	victim := exec.Command("/proc/self/exe")
	victim.Env, victim.ExtraFiles = []string{Variable + "=3"}, []*os.File{socket}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = victim.Process.Kill(), victim.Wait() })
	blocked := fullPipe(t)
	plan, err := os.CreateTemp(t.TempDir(), "plan")
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	steps := []Step{{Op: OpBounding, FD: -1, Flags: caps}, {Op: OpCapabilities, FD: -1, Blob: Numbers(caps, caps, 0, 0)}, {Op: OpJoin, FD: 0}}
	if _, err := plan.Write(Encode(nil, steps)); err != nil {
		t.Fatal(err)
	}
	if err := Send(pair[0], int(plan.Fd()), []int{int(blocked.Fd())}); err != nil {
		t.Fatal(err)
	}
	waitForCaps(t, victim.Process.Pid, "CapEff:\t00000000000001c3")
	neighbour := exec.Command(os.Args[0], "-test.run=^TestStageIsOutOfReach$")
	neighbour.Env = append(os.Environ(), "STAGE_TEST_VICTIM="+strconv.Itoa(victim.Process.Pid))
	if out, err := neighbour.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// reach drops the capabilities that the stage lacks and tries to get at the process pid.
func reach(pid int) int {
	runtime.LockOSThread()
	const caps = 1<<0 | 1<<1 | 1<<6 | 1<<7 | 1<<8
	if errno := setCapabilities(&Step{Blob: Numbers(caps, caps, 0, 0)}); errno != 0 {
		os.Stdout.WriteString("capset: " + errno.Error() + "\n")
		return 2
	}
	code := 0
	say := func(what string, err error) {
		if err == nil {
			os.Stdout.WriteString("got through: " + what + "\n")
			code = 1
		}
	}
	proc := "/proc/" + strconv.Itoa(pid)
	for _, link := range []string{"exe", "root", "cwd", "fd/0", "ns/mnt"} {
		_, err := os.Readlink(proc + "/" + link)
		say(link, err)
	}
	for _, file := range []string{"mem", "environ", "maps"} {
		f, err := os.Open(proc + "/" + file)
		if err == nil {
			f.Close()
		}
		say(file, err)
	}
	say("ptrace", syscall.PtraceAttach(pid))
	return code
}

// fullPipe is a pipe's end at which whoever writes waits.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	fd := int(w.Fd()) // which makes it block
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return w
}

func waitForCaps(t *testing.T, pid int, line string) {
	t.Helper()
	for range 1000 {
		// The main thread's are those of the process's file, and it is the main thread that runs init.
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if containsLine(string(status), line) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the stage never gave up its capabilities")
}

func containsLine(text, line string) bool {
	for len(text) > 0 {
		var first string
		first, text, _ = cut(text, '\n')
		if first == line {
			return true
		}
	}
	return false
}
