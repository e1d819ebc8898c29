package integration

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// How many power losses there are for each file system, on which, and whether all points of time are the same again
// (scripts/crash). Without these variables it is a sample.
const (
	lossPointsEnv      = "LRUN_CRASH_POINTS"
	lossFilesystemsEnv = "LRUN_CRASH_FILESYSTEMS" // separated by commas
	lossSeedEnv        = "LRUN_CRASH_SEED"

	lossPointsSample = 2
	controlPoints    = 12 // of which one must lose something
)

// TestPowerLoss takes the power away from a store again and again while lrun works on it. The store's file system lies in a
// file of a file system that can copy files at once: the copy has all that was written to the disk and nothing that was not,
// whatever the kernel keeps in memory. It is mounted in place of the first one and must have, whole, what commands had
// reported as done. So all losses are of one store. The same without syncing must lose something, or the test sees nothing.
func TestPowerLoss(t *testing.T) {
	testutil.RequireRoot(t)
	points, err := strconv.Atoi(cmp.Or(os.Getenv(lossPointsEnv), strconv.Itoa(lossPointsSample)))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv(lossSeedEnv), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for filesystem := range strings.SplitSeq(cmp.Or(os.Getenv(lossFilesystemsEnv), "ext4"), ",") {
		t.Run(filesystem, func(t *testing.T) {
			m := newPowered(t, filesystem, "--no-sync")
			lost := ""
			for n := 1; n <= controlPoints && lost == ""; n++ {
				m.format()
				lost = m.crash(rand.New(rand.NewPCG(seed, uint64(n))))
			}
			if lost == "" {
				t.Errorf("%d power losses took nothing although nothing was synced: nothing is tested", controlPoints)
			}
			t.Logf("%s: without syncing the store has lost: %s", filesystem, firstLines(lost))

			m = newPowered(t, filesystem)
			m.format()
			count := 0
			for n := range points {
				if lost := m.crash(rand.New(rand.NewPCG(seed, uint64(n)))); lost != "" {
					t.Errorf("%s: power loss %d of seed %d took: %s", filesystem, n+1, seed, lost)
					m.format()
				}
				count++
			}
			out, err := m.lrun("fsck", "--deep")
			if err != nil {
				t.Errorf("%s: the store that took %d power losses is damaged: %s", filesystem, count, out)
			}
			t.Logf("%s: %d points of power loss, %d commands had ended: %s", filesystem, count, m.done.Load(), out)
		})
	}
}

func firstLines(s string) string {
	lines := strings.SplitN(strings.TrimSpace(s), "\n", 5)
	return strings.Join(lines[:min(4, len(lines))], "; ")
}

// powered is a store on a disk of its own, whose power can be taken away.
type powered struct {
	*work
	*testing.T

	filesystem string
	dir        string // of all that is here
	disks      string // where the disk is, on a file system that can copy files at once
	losses     int
}

func newPowered(t *testing.T, filesystem string, options ...string) *powered {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(os.Getenv(workEnv), "w"), "power-")
	if err != nil {
		t.Fatal(err)
	}
	m := poweredAt(t, filesystem, dir, options...)
	m.makeArchives()
	return m
}

// poweredAt is a store in a directory that is there and empty, and goes with the test.
func poweredAt(t *testing.T, filesystem, dir string, options ...string) *powered {
	t.Helper()
	m := &powered{T: t, filesystem: filesystem, dir: dir, disks: filepath.Join(dir, "disks")}
	m.work = newWork(m, options)
	t.Cleanup(func() {
		if err := errors.Join(takeAway(dir), detachBelow(dir)); err != nil {
			t.Error(err)
		}
	})
	for _, sub := range []string{"disks", "disk", "in"} {
		makeDirectory(t, filepath.Join(dir, sub))
	}
	m.makeDisk(filepath.Join(dir, "disks.img"), "xfs", 4<<30)
	m.sh("mount -o loop %s/disks.img %s", dir, m.disks)
	return m
}

// makeDisk makes a file that holds a file system.
func (m *powered) makeDisk(path, filesystem string, size int64) {
	m.Helper()
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		m.Fatal(err)
	}
	m.sh("mkfs.%s -q %s", filesystem, path)
}

// sh runs a shell command.
func (m *powered) sh(format string, args ...any) {
	m.Helper()
	script := fmt.Sprintf(format, args...)
	if out, err := exec.Command("timeout", "-k", "5", seconds(commandLimit), "sh", "-ec", script).CombinedOutput(); err != nil {
		m.Fatalf("%s: %v: %s", script, err, out)
	}
}

func (m *powered) disk() string { return fmt.Sprintf("%s/%d.img", m.disks, m.losses) }

// next is the disk after the next power loss.
func (m *powered) next() string { return fmt.Sprintf("%s/%d.img", m.disks, m.losses+1) }

// format begins anew, with an empty store.
func (m *powered) format() {
	m.Helper()
	m.unplug()
	m.makeDisk(m.disk(), m.filesystem, 1<<30)
	m.plug()
	m.begin()
	m.sh("sync -f %s/disk", m.dir) // what was before counts as old
}

// unplug takes the disk away, if there is one.
func (m *powered) unplug() {
	m.Helper()
	if err := detachBelow(m.dir + "/disk"); err != nil {
		m.Fatal(err)
	}
	_ = os.Remove(m.disk()) // there may be none
	m.losses++
}

// plug mounts the disk in a machine that has just started: the state directory is empty and the boot another.
func (m *powered) plug() {
	m.Helper()
	m.plugIn(m.disk(), "loop")
}

func (m *powered) plugIn(disk, options string) {
	m.Helper()
	if m.filesystem == "xfs" {
		options += ",nouuid"
	}
	m.sh("mount -o %s %s %s/disk", options, disk, m.dir)
	boot := fmt.Sprintf("%08x-0000-4000-8000-%012x\n", os.Getpid(), m.losses)
	if err := errors.Join(os.RemoveAll(m.state()), os.WriteFile(m.dir+"/boot_id", []byte(boot), 0o444)); err != nil {
		m.Fatal(err)
	}
}

// crash lets lrun work for a while, takes the power away, and returns what is lost; then the machine goes on with what is there.
func (m *powered) crash(r *rand.Rand) (lost string) {
	m.Helper()
	stop := m.start(r)
	longest := min(testutil.Patience(1500*time.Millisecond), 10*time.Second) // until some commands have ended
	time.Sleep(time.Duration(r.Int64N(int64(longest))))                      // any moment will do
	before := m.facts()
	if err := clone(m.disk(), m.next()); err != nil {
		m.Fatal(err)
	}
	promised := m.unchanged(before)
	stop()
	m.unplug()
	m.plug()
	return m.look(promised)
}

// clone copies a file at once, with what has been written to it until then.
func clone(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	dst, err := os.Create(to)
	if err == nil {
		err = os.NewSyscallError("ioctl FICLONE", unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())))
		err = errors.Join(err, dst.Close())
	}
	return errors.Join(err, src.Close())
}
