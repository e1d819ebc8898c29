package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// leakPatience is how long something may stay behind, before testutil.Patience, for the kernel and other scripts are at work.
const leakPatience = 4 * time.Second

// kept is the key of the hashes that keep took.
type kept struct{}

// cgroupsBefore is the key of the empty cgroups that were there when the script began.
type cgroupsBefore struct{}

// keepCommand is keep PATTERN…: it takes the hash of each directory that the patterns name.
func keepCommand(ts *testscript.TestScript, neg bool, args []string) {
	hashes := ts.Value(kept{}).(map[string]string)
	clear(hashes)
	for _, dir := range directories(ts, args) {
		hashes[dir] = testutil.TreeHash(ts.Value(testing.TB(nil)).(testing.TB), dir)
	}
	if neg || len(hashes) == 0 {
		ts.Fatalf("no directory to keep")
	}
}

// sameCommand fails unless each directory that keep took has the same hash.
func sameCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: same")
	}
	for dir, before := range ts.Value(kept{}).(map[string]string) {
		if testutil.TreeHash(ts.Value(testing.TB(nil)).(testing.TB), dir) != before {
			ts.Fatalf("%s has changed", dir)
		}
	}
}

func directories(ts *testscript.TestScript, patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		dirs = append(dirs, found...)
	}
	return dirs
}

// leakCommand fails when something of the script's containers is left: a mount in any mount
// namespace, a process, an empty cgroup, a file in the state directory or a container's directory.
func leakCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: leakcheck")
	}
	work, old := ts.Getenv("WORK"), ts.Value(cgroupsBefore{}).([]string)
	found := slices.DeleteFunc(leaks(work), func(s string) bool { return slices.Contains(old, s) })
	for end := time.Now().Add(testutil.Patience(leakPatience)); len(found) > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		next := leaks(work)
		// What belongs to another script comes and goes; what stays is a leak.
		found = slices.DeleteFunc(found, func(s string) bool { return !slices.Contains(next, s) })
	}
	if len(found) > 0 {
		ts.Fatalf("left behind:\n%s", strings.Join(found, "\n"))
	}
}

// leaks describes what is there now of the containers of a script, and all empty cgroups of lrun that no other script has in hand.
func leaks(work string) []string {
	var found []string
	for _, pid := range processesOf(work) {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil {
			found = append(found, fmt.Sprintf("process %d: %s", pid, bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	infos, _ := filepath.Glob("/proc/[0-9]*/mountinfo") // the pattern is good
	for _, info := range infos {
		content, err := os.ReadFile(info)
		if err == nil && bytes.Contains(content, []byte(work+"/")) {
			found = append(found, "mount in "+info)
		}
	}
	found = append(found, loopDevices(work)...)
	found = append(found, emptyCgroups(work)...)
	for _, pattern := range []string{"state/active/*", "state/containers/*", "root/containers/*", "root/names/*", "root/volumes/*", "root/staging/*", "root/ingest/*", "root/snapshots/*/staging/*"} {
		files, _ := filepath.Glob(filepath.Join(work, pattern)) // the pattern is good
		found = append(found, files...)
	}
	return found
}

// loopDevices lists those that have a file below work.
func loopDevices(work string) []string {
	var found []string
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is good
	for _, file := range files {
		if backing, err := os.ReadFile(file); err == nil && bytes.HasPrefix(backing, []byte(work+"/")) {
			found = append(found, "loop device of "+strings.TrimSpace(string(backing)))
		}
	}
	return found
}

// emptyCgroups lists the cgroups of containers that have no process in any hierarchy. All are asked, for
// version 1 does not show processes of another PID namespace. What another test than that in work has in hand may be empty for
// long: its lrun was killed, or waits until somebody reads what the container wrote.
func emptyCgroups(work string) []string {
	groups, busy := map[string][]string{}, map[string]bool{}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error { // what vanishes is no leak
		if err == nil && d.IsDir() && filepath.Base(filepath.Dir(path)) == "lrun" {
			if procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs")); err == nil {
				groups[d.Name()] = append(groups[d.Name()], "cgroup "+path)
				busy[d.Name()] = busy[d.Name()] || len(procs) > 0
			}
		}
		return nil
	})
	var found []string
	for id, paths := range groups {
		if !busy[id] && !claimedElsewhere(work, id) {
			found = append(found, paths...)
		}
	}
	return found
}

// claimedElsewhere tells whether another test than that in work has a claim of the container id.
func claimedElsewhere(work, id string) bool {
	for _, pattern := range []string{"*", "*/*"} {
		claims, _ := filepath.Glob(filepath.Join(os.Getenv(workEnv), "w", pattern, "state", "active", id)) // the pattern is good
		if slices.ContainsFunc(claims, func(claim string) bool { return !strings.HasPrefix(claim, work+"/") }) {
			return true
		}
	}
	return false
}

// processesOf lists the processes that the script started, by its work directory in their environment.
func processesOf(work string) []int {
	var pids []int
	environs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is good
	for _, environ := range environs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(environ)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		content, err := os.ReadFile(environ)
		if err == nil && slices.ContainsFunc(bytes.Split(content, []byte{0}), func(v []byte) bool { return string(v) == "LRUN_ROOT="+work+"/root" }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// detachBelow unmounts everything that is mounted at dir or below, deepest first.
func detachBelow(dir string) error {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(info)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			if point := unescape.Replace(fields[4]); point == dir || strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	var errs []error
	for _, point := range slices.Backward(points) {
		errs = append(errs, unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
	}
	return errors.Join(errs...)
}
