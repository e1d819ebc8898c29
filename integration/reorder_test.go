package integration

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/integration/writelog"
	"github.com/lrun-dev/lrun/internal/testutil"
)

// scripts/crash --vm has the two halves of TestReorderedWrites done in two machines: the one in which lrun works on a disk, whose
// kernel must have dm-log-writes, and the one that looks at what the disk may be after a loss of power, which is faster.
const (
	recordEnv   = "LRUN_CRASH_RECORD"   // the directory to which the first half writes; there is no second one then
	recordedEnv = "LRUN_CRASH_RECORDED" // the directory that the second one reads; there is no first one then
	deedsEnv    = "LRUN_CRASH_DEEDS"    // how many commands are done in the first half

	deedsSample  = 12
	controlDeeds = 12
)

// TestReorderedWrites takes the power away from a disk that has a cache: what was in it and not flushed is lost, or written in any
// order, or in parts. The disk is a device that writes down all that it is told, while lrun works on it, and marks what
// commands have reported as done. Out of that come the disks that it could be after a loss of power at any moment; they are mounted
// one after the other, and must have what was reported until then. The same without syncing must lose something.
func TestReorderedWrites(t *testing.T) {
	testutil.RequireRoot(t)
	to, from := os.Getenv(recordEnv), os.Getenv(recordedEnv)
	if from == "" && !logsWrites(t) {
		return
	}
	for filesystem := range strings.SplitSeq(cmp.Or(os.Getenv(lossFilesystemsEnv), "ext4"), ",") {
		t.Run(filesystem, func(t *testing.T) {
			seed := uint64(setting(t, lossSeedEnv, 1))
			dir := cmp.Or(to, from, t.TempDir())
			synced, control := filepath.Join(dir, filesystem), filepath.Join(dir, filesystem+"-no-sync")
			if from == "" {
				t.Run("record", func(t *testing.T) { record(t, filesystem, synced, setting(t, deedsEnv, deedsSample), seed) })
				t.Run("record without syncing", func(t *testing.T) { record(t, filesystem, control, controlDeeds, seed, "--no-sync") })
			}
			if to == "" && !t.Failed() {
				t.Run("lose without syncing", func(t *testing.T) { seeControl(t, control, seed) })
				t.Run("lose", func(t *testing.T) { seeLosses(t, synced, seed) })
			}
		})
	}
}

// setting is what an environment variable says.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// logsWrites reports whether the kernel has the device. That of the virtual machine must have it.
func logsWrites(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("modprobe", "dm-log-writes").CombinedOutput()
	if err != nil && os.Getenv(testutil.SlowEnv) == "" {
		t.Skipf("this kernel has no dm-log-writes: scripts/crash --vm has: %v: %s", err, out)
	}
	if err != nil {
		t.Fatalf("modprobe dm-log-writes: %v: %s", err, out)
	}
	if _, err := exec.LookPath("dmsetup"); err != nil {
		testutil.Missing(t, err)
	}
	return true
}

// recording is what is known of a log of writes.
type recording struct {
	Filesystem string
	Dir        string            // of the store: volumes are recorded with their whole path
	Deeds      int64             // that had ended
	Marks      []map[string]bool // what was there, and what was not, from each mark on; what is missing was not known then
}

// record lets lrun work on a disk that writes down what it is told, into a file, and what is known of it into another.
func record(t *testing.T, filesystem, file string, deeds int, seed uint64, options ...string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lrun-reorder-")
	if err != nil {
		t.Fatal(err)
	}
	m := poweredAt(t, filesystem, dir, options...)
	m.makeArchives()
	device := newLogDevice(m)
	m.sh("mkfs.%s -q %s", filesystem, device.path())
	m.plugIn(device.path(), "rw")
	m.begin()
	m.sh("sync -f %s/disk", dir)

	rec := recording{Filesystem: filesystem, Dir: dir}
	m.told = func(known map[string]fact) {
		now := map[string]bool{}
		for name, f := range known {
			if !f.unknown {
				now[name] = f.there
			}
		}
		device.mark(len(rec.Marks))
		rec.Marks = append(rec.Marks, now)
	}
	m.told(m.known)
	stop := m.start(rand.New(rand.NewPCG(seed, 0)))
	for m.done.Load() < int64(deeds) && !m.Failed() {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	rec.Deeds = m.done.Load()
	device.end(file)
	text, err := json.Marshal(rec)
	if err := errors.Join(err, os.WriteFile(file+".json", text, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// logDevice is a disk that writes down what it is told.
type logDevice struct {
	m    *powered
	name string
	gone bool
}

func newLogDevice(m *powered) *logDevice {
	m.Helper()
	d := &logDevice{m: m, name: filepath.Base(m.dir)}
	m.Cleanup(d.remove)
	m.sh(`cd %s && truncate -s 1G data && truncate -s 16G log
data=$(losetup -f --show data) log=$(losetup -f --show log)
trap 'losetup -d $data $log' EXIT # they stay as long as the device has them
DM_DISABLE_UDEV=1 dmsetup create %s --table "0 $(blockdev --getsz $data) log-writes $data $log"`, m.dir, d.name)
	return d
}

func (d *logDevice) path() string { return "/dev/mapper/" + d.name }

// mark writes into the log. What was sure to last before comes before it, what was begun after it comes after.
func (d *logDevice) mark(n int) {
	d.m.Helper()
	if out, err := exec.Command("dmsetup", "message", d.name, "0", "mark", strconv.Itoa(n)).CombinedOutput(); err != nil {
		d.m.Errorf("mark %d: %v: %s", n, err, out)
	}
}

// remove takes the disk away, as soon as nobody has it any more. What was not flushed comes into the log then.
func (d *logDevice) remove() {
	d.m.Helper()
	if d.gone {
		return
	}
	if err := detachBelow(d.m.dir + "/disk"); err != nil {
		d.m.Error(err)
	}
	for end := time.Now().Add(testutil.Patience(10 * time.Second)); ; time.Sleep(20 * time.Millisecond) {
		remove := exec.Command("dmsetup", "remove", d.name)
		remove.Env = append(os.Environ(), "DM_DISABLE_UDEV=1") // there may be none, and it makes and removes the device's file
		out, err := remove.CombinedOutput()
		if d.gone = err == nil; d.gone {
			return
		}
		if time.Now().After(end) {
			d.m.Fatalf("remove %s: %v: %s", d.name, err, out)
		}
	}
}

// end takes the disk away and copies the log.
func (d *logDevice) end(to string) {
	d.m.Helper()
	d.remove()
	log, err := os.Open(d.m.dir + "/log")
	if err != nil {
		d.m.Fatal(err)
	}
	defer log.Close()
	_, end, err := writelog.Read(log)
	if err != nil {
		d.m.Fatal(err)
	}
	file, err := os.Create(to + ".log")
	if err == nil {
		_, err = io.CopyN(file, log, end)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		d.m.Fatal(err)
	}
}

// losses are the disks that one could be after a loss of power.
type losses struct {
	*powered
	recording

	replay  writelog.Replay
	first   int   // the entry from which on lrun works
	flushed []int // how many entries there are, at each moment at which something has just become sure to last
}

// losing reads what was recorded, and makes room for disks where the store was.
func losing(t *testing.T, file string) *losses {
	t.Helper()
	text, err := os.ReadFile(file + ".json")
	l := &losses{}
	if err := errors.Join(err, json.Unmarshal(text, &l.recording)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l.powered = poweredAt(t, l.Filesystem, l.Dir)
	log, err := os.Open(file + ".log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	l.replay.Log = log
	if l.replay.Entries, _, err = writelog.Read(log); err != nil {
		t.Fatal(err)
	}
	marks := 0
	for i, e := range l.replay.Entries {
		switch {
		case e.Mark == "0":
			l.first = i + 1
			fallthrough
		case l.first > 0 && e.Flags&writelog.Mark != 0:
			marks++
		case l.first > 0 && e.Flags&(writelog.Flush|writelog.FUA) != 0:
			l.flushed = append(l.flushed, i+1)
		}
	}
	if want := len(l.Marks) + 1; marks != want { // the device makes the last one
		t.Fatalf("%s has %d marks and not %d: it is not whole", file, marks, want)
	}
	if l.replay.Disk, err = os.Create(l.disks + "/stable"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.replay.Disk.Close() })
	if err := l.replay.Disk.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	return l
}

// moments chooses n numbers of entries after which the power goes, in order: right after a flush, or anywhere.
func (l *losses) moments(r *rand.Rand, n int) []int {
	moments := make([]int, n)
	for i := range moments {
		if i%2 == 0 && len(l.flushed) > 0 {
			moments[i] = l.flushed[r.IntN(len(l.flushed))]
		} else {
			moments[i] = l.first + r.IntN(len(l.replay.Entries)-l.first)
		}
	}
	slices.Sort(moments)
	return moments
}

// at takes the power away after n entries, and returns what is lost.
func (l *losses) at(n int, r *rand.Rand) string {
	l.Helper()
	if err := l.replay.Flushed(n); err != nil {
		l.Fatal(err)
	}
	l.unplug()
	if err := clone(l.replay.Disk.Name(), l.disk()); err != nil {
		l.Fatal(err)
	}
	disk, err := os.OpenFile(l.disk(), os.O_WRONLY, 0)
	if err == nil {
		err = errors.Join(l.replay.Unflushed(disk, n, chance(r)), disk.Close())
	}
	if err != nil {
		l.Fatal(err)
	}
	l.plug()
	return l.look(l.promised(n))
}

// promised is what commands had reported, and no other had begun to undo, when there were n entries.
func (l *losses) promised(n int) map[string]fact {
	l.Helper()
	promised := map[string]fact{}
	for _, e := range slices.Backward(l.replay.Entries[:n]) {
		if e.Flags&writelog.Mark == 0 || e.Mark == "dm-log-writes-end" {
			continue
		}
		mark, err := strconv.Atoi(e.Mark)
		if err != nil {
			l.Fatal(err)
		}
		for name, there := range l.Marks[mark] {
			promised[name] = fact{there: there}
		}
		return promised
	}
	return promised
}

// chance says which blocks of what was not flushed are on the disk: all, none, whole writes, or any.
func chance(r *rand.Rand) func(entry int) bool {
	way, writes := r.IntN(4), map[int]bool{}
	return func(entry int) bool {
		known, ok := writes[entry]
		switch {
		case way < 2:
			return way == 1
		case way == 2 && ok:
			return known
		}
		writes[entry] = r.IntN(2) == 0
		return writes[entry]
	}
}

// seeControl fails unless what was not synced is lost.
func seeControl(t *testing.T, file string, seed uint64) {
	t.Helper()
	l := losing(t, file)
	r := rand.New(rand.NewPCG(seed, 1))
	lost := ""
	for _, n := range l.moments(r, controlPoints) {
		if lost = l.at(n, r); lost != "" {
			break
		}
	}
	l.unplug()
	if lost == "" {
		t.Errorf("%d power losses took nothing although nothing was synced: nothing is tested", controlPoints)
	}
	t.Logf("%s: without syncing the store has lost: %s", l.Filesystem, firstLines(lost))
}

// seeLosses fails if what was synced is lost.
func seeLosses(t *testing.T, file string, seed uint64) {
	t.Helper()
	l := losing(t, file)
	points := setting(t, lossPointsEnv, lossPointsSample)
	for i, n := range l.moments(rand.New(rand.NewPCG(seed, 2)), points) {
		if lost := l.at(n, rand.New(rand.NewPCG(seed, uint64(i)))); lost != "" {
			t.Errorf("%s: power loss after %d of %d writes of seed %d took: %s", l.Filesystem, n, len(l.replay.Entries), seed, lost)
		}
	}
	l.unplug()
	t.Logf("%s: %d points of power loss among %d writes, flushes and marks, %d commands had ended", l.Filesystem, points, len(l.replay.Entries)-l.first, l.Deeds)
}
