package testutil

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leakPatience is how long a leak may last, before Patience: other packages' tests mount and run things at the same time.
const leakPatience = 5 * time.Second

// LeakCheck fails the test when, after all that it cleans up, there is something that was not there
// before: a mount, a cgroup in one named lrun (or lrun-…test), a child of the test process or a process that
// names the test's temporary directory, or an entry of /run/lrun. Call it first, so that its cleanup
// comes last. Mounts that leaked into the test's temporary directories are detached, lest their
// removal reach into what is mounted.
func LeakCheck(t testing.TB) {
	t.Helper()
	leakCheck(t, Patience(leakPatience))
}

// leakCheck is LeakCheck with the patience of the caller.
func leakCheck(t testing.TB, patience time.Duration) {
	t.Helper()
	own := ownPrefix(t.TempDir())
	before := observe(own)
	t.Cleanup(func() {
		t.Helper()
		left := observe(own).without(before)
		for end := time.Now().Add(patience); len(left.things) > 0 && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
			left = left.only(observe(own)) // what others make meanwhile is theirs
		}
		for _, leak := range slices.Sorted(maps.Values(left.things)) {
			t.Errorf("left behind: %s", leak)
		}
		left.detach(own)
	})
}

// ownPrefix turns a temporary directory of a test, /tmp/TestX123/001, into what the directories of
// this test and its subtests begin with, /tmp/TestX.
func ownPrefix(tempDir string) string {
	return strings.TrimRight(filepath.Dir(tempDir), "0123456789")
}

// observation is what LeakCheck compares: descriptions of things, by a key that is not used again soon.
type observation struct {
	things map[string]string
	mounts map[string]string // key of a mount: mount point
}

// observe looks at everything now. What vanishes while it looks is not there.
func observe(own string) observation {
	o := observation{things: map[string]string{}, mounts: map[string]string{}}
	if info, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		o.addMounts(string(info), own)
	}
	o.addProcesses(own)
	o.addTree("/sys/fs/cgroup", "cgroup", func(path string, d fs.DirEntry) bool {
		return d.IsDir() && slices.ContainsFunc(strings.Split(filepath.Dir(path), "/"), isCgroupParent)
	})
	o.addTree("/run/lrun", "state", func(string, fs.DirEntry) bool { return true })
	return o
}

// isCgroupParent reports whether lrun, or a test, keeps cgroups of containers in a cgroup of that
// name: lrun, lrun-test, lrun-x-test. It stays itself.
func isCgroupParent(name string) bool {
	return name == "lrun" || strings.HasPrefix(name, "lrun-") && strings.HasSuffix(name, "test")
}

// addMounts adds the mounts of a mountinfo, but not those in temporary directories of other tests.
func (o observation) addMounts(info, own string) {
	for line := range strings.Lines(info) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			continue
		}
		point := unescapeMountinfo(fields[4])
		foreign := strings.HasPrefix(point, filepath.Join(os.TempDir(), "Test"))
		if foreign && !strings.HasPrefix(point, own) {
			continue
		}
		key := "mount " + fields[0] + " " + point
		o.things[key] = "mount " + strings.TrimSpace(line)
		o.mounts[key] = point
	}
}

// addProcesses adds the children of this process and every process with own in its arguments.
func (o observation) addProcesses(own string) {
	self := os.Getpid()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return
	}
	for _, stat := range stats {
		dir := filepath.Dir(stat)
		pid := filepath.Base(dir)
		content, err := os.ReadFile(stat)
		if err != nil || pid == strconv.Itoa(self) {
			continue
		}
		// After the name in parentheses, which may hold anything: state, parent, …, start time (22nd field).
		fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
		if len(fields) < 20 {
			continue
		}
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		if fields[1] == strconv.Itoa(self) || bytes.Contains(args, []byte(own)) {
			o.things["process "+pid+" "+fields[19]] = fmt.Sprintf("process %s in state %s: %q", pid, fields[0], args)
		}
	}
}

// addTree adds every file below root that match wants.
func (o observation) addTree(root, kind string, match func(path string, d fs.DirEntry) bool) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != root && match(path, d) {
			o.things[kind+" "+path] = kind + " " + path
		}
		return nil // gone meanwhile, or not to be read: not there
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.things[kind] = fmt.Sprintf("walk %s: %v", root, err)
	}
}

// without returns what is in o and not in other.
func (o observation) without(other observation) observation {
	return o.filter(func(key string) bool { _, ok := other.things[key]; return !ok })
}

// only returns what is in both.
func (o observation) only(other observation) observation {
	return o.filter(func(key string) bool { _, ok := other.things[key]; return ok })
}

// filter returns the things whose key want wants.
func (o observation) filter(want func(key string) bool) observation {
	unwanted := func(key, _ string) bool { return !want(key) }
	result := observation{things: maps.Clone(o.things), mounts: maps.Clone(o.mounts)}
	maps.DeleteFunc(result.things, unwanted)
	maps.DeleteFunc(result.mounts, unwanted)
	return result
}

// detach unmounts the mounts of o below own, deepest first.
func (o observation) detach(own string) {
	points := slices.Sorted(maps.Values(o.mounts))
	for _, point := range slices.Backward(points) {
		if strings.HasPrefix(point, own) {
			// Best effort: the leak is reported already.
			_ = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}
}

// unescapeMountinfo replaces the octal escapes of a mountinfo field.
func unescapeMountinfo(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
