package integration

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// killPointsEnv is how many moments of each command the kill tests try; "all" is every one (scripts/kill-points).
const killPointsEnv = "LRUN_KILL_POINTS"

// killPointsSample is how many they try when nothing is said.
const killPointsSample = 5

// everything is a command that makes all directories which any container needs.
const everything = "run --rm -v /data --ipc shareable busybox true"

// killCase is a command that is killed.
type killCase struct {
	name    string
	before  []string // commands that make what it works on; the last may end in & and then runs until victim is there
	command string
	keeps   bool // what it leaves may be a container, whole
	outside bool // processes may outlive it until the next command
	fresh   bool // it works on no root at all
	images  bool // it is about images: the next command loads the image again
	long    bool // scripts/kill-points alone tries it
}

func killCases() []killCase {
	made := []string{"create --name victim busybox true"}
	limited := []string{"create --name victim --disk 16m busybox true"}
	return []killCase{
		{name: "run --rm", command: "run --rm --name victim busybox true"},
		{name: "run --rm of a failing start", command: "run --rm --name victim busybox no-such-program"},
		{name: "run --rm with a volume", command: "run --rm --name victim -v /data --init busybox true"},
		{name: "run --rm by runc", command: "run --rm --name victim --runtime runc busybox true", outside: true},
		{name: "run by runc", command: "run --name victim --runtime runc busybox true", keeps: true, outside: true},
		{name: "run", command: "run --name victim --ipc shareable busybox true", keeps: true},
		{name: "create", command: "create --name victim -v /data busybox true", keeps: true},
		{name: "start", before: made, command: "start -a victim", keeps: true},
		{name: "rm", before: made, command: "rm -v victim", keeps: true},
		{name: "kill", before: []string{"run --name victim busybox sleep 1000 &"}, command: "kill victim", keeps: true},
		{name: "rm -f", before: []string{"run --name victim busybox sleep 1000 &"}, command: "rm -fv victim", keeps: true},
		{name: "first load", command: "load -q -i " + busyboxArchive(), fresh: true, images: true},
		{name: "load", command: "load -q -i " + busyboxArchive(), images: true},
		{name: "rmi", command: "rmi busybox", images: true},
		{name: "run --rm with a disk", command: "run --rm --name victim --disk 16m busybox true"},
		{name: "create with a disk", command: limited[0], keeps: true, long: true},
		{name: "start with a disk", before: limited, command: "start -a victim", keeps: true, long: true},
		{name: "rm with a disk", before: limited, command: "rm -v victim", keeps: true, long: true},
		{name: "export", before: made, command: "export -o /dev/null victim", keeps: true},
	}
}

func busyboxArchive() string { return filepath.Join(os.Getenv(workEnv), "images", "busybox.tar") }

// TestKillPoints kills each command at moments of its life, each between two system calls that change something. After
// every kill lists are truthful, a container that is there is whole, the next command of whatever kind leaves nothing
// behind, and the name can be used again.
func TestKillPoints(t *testing.T) {
	testutil.RequireRoot(t)
	for _, c := range killCases() {
		if (c.outside || c.long) && os.Getenv(killPointsEnv) == "" {
			continue // it takes long: see scripts/kill-points
		}
		t.Run(c.name, func(t *testing.T) { newKillTest(t, c).run() })
	}
}

// killTest is one command that is killed many times in one root.
type killTest struct {
	*testing.T
	killCase

	work   string
	clean  []string // all files before
	groups []string // empty cgroups before
}

func newKillTest(t *testing.T, c killCase) *killTest {
	k := &killTest{T: t, killCase: c}
	work, err := os.MkdirTemp(filepath.Join(os.Getenv(workEnv), "w"), "kill-")
	if err != nil {
		t.Fatal(err)
	}
	k.work, k.groups = work, emptyCgroups(work)
	t.Cleanup(func() {
		if err := takeAway(work); err != nil {
			t.Error(err)
		}
	})
	k.must("load -q -i " + busyboxArchive())
	k.must(everything)
	if c.outside {
		k.must("run --rm --runtime runc busybox true")
	}
	k.clean = k.files()
	return k
}

// run tries the moments one after the other, until the command ends before its moment comes.
func (k *killTest) run() {
	start := time.Now()
	total, _ := k.kill(0)
	k.settle(0)
	step, tried := k.step(total, killPointsSample), 0
	for n := 1 + step/2; !k.Failed(); n += step {
		_, killed := k.kill(n)
		k.settle(n)
		if !killed && n > total/2 { // else a call less was needed this time
			break
		}
		tried++
	}
	k.Logf("%d points of about %d tried in %v", tried, total, time.Since(start).Round(time.Second))
}

// step is how far the points are apart that are tried, of total.
func (k *killTest) step(total, sample int) int {
	k.Helper()
	limit := os.Getenv(killPointsEnv)
	if limit == "all" {
		return 1
	}
	n, err := strconv.Atoi(cmp.Or(limit, strconv.Itoa(sample)))
	if err != nil {
		k.Fatal(err)
	}
	return max(1, total/n)
}

// kill prepares the command and kills it at its n-th call.
func (k *killTest) kill(n int) (seen int, killed bool) {
	k.Helper()
	if k.fresh {
		if err := errors.Join(os.RemoveAll(k.work+"/root"), os.RemoveAll(k.work+"/state")); err != nil {
			k.Fatal(err)
		}
	}
	for _, args := range k.before {
		k.prepare(args)
	}
	out, err := k.command("killat", append([]string{strconv.Itoa(n), "lrun"}, strings.Fields(k.killCase.command)...)...).CombinedOutput()
	line := string(out[strings.LastIndexByte(strings.TrimSpace(string(out)), '\n')+1:])
	var survived bool
	if _, scanErr := fmt.Sscan(line, &seen, &killed, &survived); err != nil || scanErr != nil {
		k.Fatalf("point %d: %v, %v: %s", n, err, scanErr, out)
	}
	if survived && !k.outside {
		k.Errorf("point %d: something that the command started outlives it", n)
	}
	return seen, killed
}

// prepare runs a command; one with & stays, and its container runs.
func (k *killTest) prepare(args string) {
	k.Helper()
	args, background := strings.CutSuffix(args, " &")
	if !background {
		k.must(args)
		return
	}
	c := k.command("lrun", strings.Fields(args)...)
	if err := c.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = c.Wait() }) // it ends by a signal
	go func() { _, _ = c.Process.Wait() }()
	for end := time.Now().Add(testutil.Patience(20 * time.Second)); k.must("ps -q --filter name=victim") == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("%s: it never ran", args)
		}
	}
}

// settle checks what a kill at the n-th call has left, and that all of it goes.
func (k *killTest) settle(n int) {
	k.Helper()
	state := strings.TrimSpace(k.must("ps -a --filter name=victim --format {{.State}}"))
	if state != "" && !k.keeps {
		k.Errorf("point %d: a container that was to be removed is listed as %s", n, state)
	}
	if k.images {
		k.must("load -q -i " + busyboxArchive())
		k.must(everything)
	}
	// Any command must do, so they take turns.
	switch n % 3 {
	case 0:
		k.must("run --rm busybox true")
	case 1:
		k.must("rm -f none")
	case 2:
		k.must("create --name other busybox")
		k.must("rm other")
	}
	if state == "" {
		k.same(n, "after the next command")
	} else if now := strings.TrimSpace(k.must("ps -a --filter name=victim --format {{.State}}")); now != "running" {
		k.still(n)
		if now == "created" || now == "exited" && k.name != "kill" && k.name != "rm -f" {
			k.must("start -a victim")
		}
	}
	k.must("rm -fv victim")
	k.same(n, "after rm -f")
	k.must("create --name victim busybox true")
	k.must("rm victim")
	k.same(n, "after the name was used again")
}

// still fails when a container that is kept and does not run has anything that only a running one has, after the next command.
func (k *killTest) still(n int) {
	k.Helper()
	running := func() []string {
		found := slices.DeleteFunc(leaks(k.work), func(s string) bool { return strings.HasPrefix(s, k.work+"/root/") || slices.Contains(k.groups, s) })
		ids, _ := filepath.Glob(k.work + "/root/containers/*") // the pattern is good
		for _, id := range ids {
			for _, pattern := range []string{"/sys/fs/cgroup/lrun/", "/sys/fs/cgroup/*/lrun/"} {
				groups, _ := filepath.Glob(pattern + filepath.Base(id)) // with processes or without
				found = append(found, groups...)
			}
		}
		return found
	}
	found := running()
	for end := time.Now().Add(testutil.Patience(leakPatience)); len(found) > 0 && time.Now().Before(end); found = running() {
		time.Sleep(50 * time.Millisecond)
	}
	if len(found) > 0 {
		k.Fatalf("point %d of %q: it does not run, and after the next command there is:\n%s", n, k.killCase.command, strings.Join(found, "\n"))
	}
}

// same fails when something is there that was not before the first command, or the reverse.
func (k *killTest) same(n int, when string) {
	k.Helper()
	difference := func() []string {
		now := append(k.files(), slices.DeleteFunc(leaks(k.work), func(s string) bool { return slices.Contains(k.groups, s) })...)
		return slices.DeleteFunc(slices.Concat(now, k.clean), func(s string) bool { return slices.Contains(now, s) && slices.Contains(k.clean, s) })
	}
	found := difference()
	for end := time.Now().Add(testutil.Patience(leakPatience)); len(found) > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		next := difference()
		found = slices.DeleteFunc(found, func(s string) bool { return !slices.Contains(next, s) })
	}
	if len(found) > 0 {
		k.Fatalf("point %d of %q, %s, is more or less than before:\n%s", n, k.killCase.command, when, strings.Join(found, "\n"))
	}
}

// files lists the root and the state directory, with types and the sizes of files, without what is in layers. The
// random ids of snapshots are left out, so that an image that was removed and loaded again counts as the same.
func (k *killTest) files() []string {
	var list []string
	seen, ids := map[string]int{}, regexp.MustCompile(`/[0-9a-f]{16}\b`)
	for _, dir := range []string{"root", "state"} {
		err := filepath.WalkDir(filepath.Join(k.work, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			line := ids.ReplaceAllString(path, "/ID") + " " + info.Mode().String()
			if info.Mode().IsRegular() && filepath.Ext(path) != ".json" { // whose length depends on times
				line += fmt.Sprintf(" %d", info.Size())
			}
			seen[line]++
			list = append(list, fmt.Sprintf("%s #%d", line, seen[line]))
			if d.Name() == "fs" {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			list = append(list, err.Error())
		}
	}
	return list
}

// must runs lrun, which must succeed, and returns its standard output.
func (k *killTest) must(args string) string {
	k.Helper()
	c := k.command("lrun", strings.Fields(args)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		k.Fatalf("lrun %s: %v: %s", args, err, stderr.String())
	}
	return string(out)
}

func (k *killTest) command(name string, args ...string) *exec.Cmd {
	c := exec.Command("timeout", append([]string{"-k", "5", seconds(commandLimit), name}, args...)...)
	c.Env = append(os.Environ(), "LRUN_ROOT="+k.work+"/root", "LRUN_STATE="+k.work+"/state", "LRUN_DRIVER="+cmp.Or(os.Getenv(driverEnv), "overlayfs"))
	return c
}
