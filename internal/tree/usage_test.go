package tree

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestUsage(t *testing.T) {
	dir := scratch(t)
	size, inodes := usage(t, dir)
	if inodes != 1 {
		t.Errorf("an empty directory has %d inodes", inodes)
	}
	const block = 4096
	steps := []struct {
		name   string
		make   []change
		blocks int64
		inodes int64
	}{
		{"a file", []change{file("a", "x", 0o600)}, 1, 1},
		{"a hard link", []change{hardlink("a", "b")}, 0, 0},
		{"a hole", []change{file("sparse", "", 0o600), func(dir string) error { return os.Truncate(dir+"/sparse", 1<<30) }}, 0, 1},
		{"a directory with a file", []change{directory("d", 0o755), file("d/f", string(make([]byte, 2*block)), 0o600)}, 3, 2},
		{"a link", []change{symlink("/", "root")}, 0, 1},
	}
	for _, s := range steps {
		apply(t, dir, s.make...)
		gotSize, gotInodes := usage(t, dir)
		if gotInodes-inodes != s.inodes || gotSize-size != s.blocks*block {
			t.Errorf("%s: %d bytes, %d inodes; want %d, %d", s.name, gotSize-size, gotInodes-inodes, s.blocks*block, s.inodes)
		}
		size, inodes = gotSize, gotInodes
	}
}

func usage(t *testing.T, dir string) (size, inodes int64) {
	t.Helper()
	size, inodes, err := Usage(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return size, inodes
}

func TestUsageErrors(t *testing.T) {
	dir := scratch(t)
	apply(t, dir, file("f", "", 0o600), symlink(".", "link"))
	for _, name := range []string{"none", "f", "link"} {
		if _, _, err := Usage(t.Context(), dir+"/"+name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Usage(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUsageLeavesMountsOut(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := scratch(t)
	apply(t, dir, directory("m", 0o755))
	if err := unix.Mount("tmpfs", dir+"/m", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/m", unix.MNT_DETACH)
	apply(t, dir, file("m/f", "x", 0o600))
	if _, inodes := usage(t, dir); inodes != 1 {
		t.Errorf("%d inodes, want the directory alone", inodes)
	}
}

func TestUsageDeep(t *testing.T) {
	dir := memory(t)
	nest(t, dir, 2500)
	if _, inodes := usage(t, dir); inodes != 1+2*2500 {
		t.Errorf("%d inodes", inodes)
	}
}
