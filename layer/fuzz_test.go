package layer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// FuzzApply unpacks any bytes in both ways, twice, and settles them on each other. What fails must fail with a class,
// and nothing outside the root may change. As a plain user it sees less: chown fails.
func FuzzApply(f *testing.F) {
	for _, entries := range [][]lt.Entry{
		nil,
		{lt.Dir("d"), lt.File("d/f", "x"), lt.Symlink("l", "../../etc"), lt.File("l/x", "y"), lt.Link("h", "d/f")},
		{lt.Whiteout("d"), lt.Opaque("e"), lt.Opaque(""), lt.Whiteout("../../etc/passwd")},
		{lt.Symlink("a", "/"), lt.File("a/../a/etc/passwd", ""), lt.Link("b", "a/c"), lt.Fifo("c"), lt.Char("n", 1, 3)},
		{lt.File("f", "x", lt.Xattr("user.x", "y"), lt.Mode(0o7777)), lt.Link("f", "f"), lt.Dir("f"), lt.Link("g", "later")},
	} {
		f.Add(lt.Tar(entries...))
	}
	f.Add(sparseTar())
	f.Fuzz(func(t *testing.T, tar []byte) {
		repair(tar)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // a hole may be of an exabyte
		defer cancel()
		top := tempDir(t)
		outside := filepath.Join(top, "etc")
		must(t, os.Mkdir(outside, 0o755))
		must(t, os.WriteFile(outside+"/passwd", []byte("host"), 0o600))
		before, err := layer.TreeDigest(context.Background(), outside)
		must(t, err)

		whole, alone := filepath.Join(top, "whole"), filepath.Join(top, "alone")
		must(t, errors.Join(os.Mkdir(whole, 0o755), os.Mkdir(alone, 0o755)))
		unpack := func(dir string, o layer.ApplyOptions) layer.Needs {
			a, err := layer.Apply(ctx, openDir(t, dir), bytes.NewReader(tar), o)
			classified(t, err)
			if err == nil && o.Whiteouts == nil && a.Size < 1<<20 && os.Geteuid() == 0 {
				samePacked(t, dir)
			}
			return a.Needs
		}
		unpack(whole, layer.ApplyOptions{})
		needs := unpack(alone, onOverlay)
		unpack(whole, layer.ApplyOptions{})
		classified(t, layer.Settle(ctx, openDir(t, alone), needs, openDir(t, whole)))

		after, err := layer.TreeDigest(context.Background(), outside)
		must(t, err)
		names, err := os.ReadDir(top)
		if err != nil || before != after || len(names) != 3 {
			t.Fatalf("something changed outside the root: %v, %v", names, err)
		}
	})
}

// samePacked packs a tree that was unpacked, and unpacks it once more.
func samePacked(t *testing.T, dir string) {
	t.Helper()
	again := tempDir(t)
	must(t, apply(t, again, writeTar(t, dir, layer.TarOptions{})))
	must(t, tree.CopyRoot(again, dir))
	want, err := layer.TreeDigest(context.Background(), dir)
	must(t, err)
	got, err := layer.TreeDigest(context.Background(), again)
	must(t, err)
	if got != want {
		t.Fatalf("packed and unpacked it is another tree:\n%s", lt.Diff(lt.List(t, again), lt.List(t, dir)))
	}
}

// FuzzDiffApply changes a tree in any way, and applies what Diff says of it to a copy of what was there: that is the tree.
// It needs root.
func FuzzDiffApply(f *testing.F) {
	testutil.RequireRoot(f)
	for _, seed := range []string{"", "aaaa", "mkdirs and files, in any order of bytes, make and remove what is there already", "0123456789abcdefghijklmnop", "\x00\x05\x11\x04\x03\x07\x21\x02", "zyxwvutsrqponmlkjihgfedcba9876543210"} {
		f.Add([]byte(seed))
	}
	kinds := slices.Sorted(maps.Keys(changes))
	f.Fuzz(func(t *testing.T, data []byte) {
		t.Setenv("TMPDIR", "/dev/shm")
		var steps []step
		for ; len(data) >= 4 && len(steps) < 40; data = data[4:] {
			steps = append(steps, step{kinds[int(data[0])%len(kinds)], fuzzPath(data[1]), fuzzPath(data[2]), int(data[3] % 8)})
		}
		below := filepath.Join(tempDir(t), "tree") // links may lead to what is beside it
		must(t, os.Mkdir(below, 0o755))
		do(steps[:len(steps)/2])(below)
		onCopies(t, below, do(steps[len(steps)/2:])).roundTrip(t)
	})
}

// fuzzPath is one of the 39 names that random changes are made in.
func fuzzPath(b byte) string {
	path := string("abc"[b%3])
	for b /= 3; b > 0 && len(path) < 5; b /= 4 {
		if b%4 > 0 {
			path += "/" + string("abc"[b%4-1])
		}
	}
	return path
}

// repair makes the sums of all headers right, so that what was changed in them gets past the first check.
func repair(tar []byte) {
	for ; len(tar) >= 512; tar = tar[512:] {
		if !bytes.HasPrefix(tar[257:], []byte("ustar")) {
			continue
		}
		copy(tar[148:156], "        ")
		sum := 0
		for _, b := range tar[:512] {
			sum += int(b)
		}
		copy(tar[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
}

// classified lets pass errors of which the layer is the reason, and what the machine cannot do.
func classified(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, errdefs.ErrInvalidArgument) || errors.Is(err, errdefs.ErrDataLoss) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	for _, machine := range []error{unix.EPERM, unix.EACCES, unix.ENOTSUP, unix.ENOSPC, unix.EFBIG, unix.EINVAL, unix.ERANGE, unix.E2BIG} {
		if errors.Is(err, machine) {
			return // xattrs of strange names, devices and owners without root, a file of an exabyte
		}
	}
	t.Fatal(err)
}
