package testutil

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// DiskUsage is what du counts of dir in bytes, without what is mounted below.
func DiskUsage(t testing.TB, dir string) int64 {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "du", "-sx", "--block-size=1", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	field, _, _ := strings.Cut(string(out), "\t")
	n, err := strconv.ParseInt(field, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
