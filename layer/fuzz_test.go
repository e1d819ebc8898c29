package layer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

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
