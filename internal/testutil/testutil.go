// Package testutil holds what tests of several packages need: privilege, hashes of trees, and leak checks.
package testutil

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// RootEnv is the environment variable that, set to 1, demands that tests which need root run.
const RootEnv = "LRUN_TEST_ROOT"

// SlowEnv is the environment variable that says how many times slower than others the machine is: 40 in scripts/vm.
const SlowEnv = "LRUN_TEST_SLOW"

// Patience is how long a test waits on this machine for what takes a moment elsewhere, and d at most: d itself, or many
// times d where SlowEnv says so. A test that succeeds does not take longer for it.
func Patience(d time.Duration) time.Duration {
	if slow, err := strconv.Atoi(os.Getenv(SlowEnv)); err == nil && slow > 1 {
		return d * time.Duration(slow)
	}
	return d
}

// RequireRoot skips the test unless LRUN_TEST_ROOT is 1. When it is, a process that is not root with
// CAP_SYS_ADMIN and CAP_MKNOD fails: such tests never pass by skipping.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Getenv(RootEnv) != "1" {
		t.Skipf("needs root: set %s=1", RootEnv)
	}
	if uid := os.Geteuid(); uid != 0 {
		t.Fatalf("%s=1, but the user is %d", RootEnv, uid)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	have := effectiveCaps(status)
	for name, bit := range map[string]uint{"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_MKNOD": unix.CAP_MKNOD} {
		if have&(1<<bit) == 0 {
			t.Fatalf("%s=1, but %s is missing", RootEnv, name)
		}
	}
}

// Kernel reports whether the kernel is Linux major.minor or later, and so must have what came with that.
func Kernel(t testing.TB, major, minor int) bool {
	t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	var m, n int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &m, &n); err != nil {
		t.Fatalf("Linux %q: %v", release, err)
	}
	return m > major || m == major && n >= minor
}

// InMemory puts the temporary directories of t into memory, where nothing waits for a disk, if tmpfs has there what files of
// layers have (xattrs of users: Linux 6.6).
func InMemory(t *testing.T) {
	t.Helper()
	if Kernel(t, 6, 6) {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

// Missing ends a test that lacks something of the machine: a tool, a header, a filesystem. Where LRUN_TEST_ROOT is 1,
// scripts/provision was to bring it, and the test fails; elsewhere it is skipped.
func Missing(t testing.TB, what any) {
	t.Helper()
	if os.Getenv(RootEnv) == "1" {
		t.Fatalf("missing, though scripts/provision installs all that tests need: %v", what)
	}
	t.Skipf("missing: %v", what)
}

// effectiveCaps reads the effective set from the content of /proc/PID/status; without one it is empty.
func effectiveCaps(status []byte) uint64 {
	for line := range bytes.Lines(status) {
		if hex, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
			caps, err := strconv.ParseUint(string(bytes.TrimSpace(hex)), 16, 64)
			if err == nil {
				return caps
			}
		}
	}
	return 0
}
