package tree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

const censusBlock = 4096

func TestCensus(t *testing.T) {
	blocks := func(n int) string { return strings.Repeat("x", n*censusBlock) }
	dir := scratch(t)
	apply(t, dir, directory("a", 0o755), file("a/own", blocks(2), 0o600), directory("a/b", 0o755), file("a/b/deep", blocks(3), 0o600),
		file("a/given", blocks(5), 0o600), directory("c", 0o755), file("c/x", blocks(7), 0o600), file("d", blocks(11), 0o600))
	const dirs = censusBlock
	tests := []struct {
		name string
		give func(o *Owners)
		want []int64
	}{
		{"nobody", func(*Owners) {}, []int64{4*dirs + 28*censusBlock}},
		{"a directory", func(o *Owners) { o.Give("a", 1) }, []int64{2*dirs + 18*censusBlock, 2*dirs + 10*censusBlock}},
		{"a file in it", func(o *Owners) { o.Give("a", 1); o.Give("a/given", 2) }, []int64{2*dirs + 18*censusBlock, 2*dirs + 5*censusBlock, 5 * censusBlock}},
		{"in any order", func(o *Owners) { o.Give("a/given", 2); o.Give("a", 1) }, []int64{2*dirs + 18*censusBlock, 2*dirs + 5*censusBlock, 5 * censusBlock}},
		{"back", func(o *Owners) { o.Give("a", 1); o.Give("a/b", 0) }, []int64{3*dirs + 21*censusBlock, dirs + 7*censusBlock}},
		{"alone", func(o *Owners) { o.Give("a", 1); o.GiveAlone("a", 2) }, []int64{2*dirs + 18*censusBlock, dirs + 10*censusBlock, dirs}},
		{"all, and the top alone", func(o *Owners) { o.Give(".", 1); o.GiveAlone("./", 2) }, []int64{0, 3*dirs + 28*censusBlock, dirs}},
		{"what is not there", func(o *Owners) { o.Give("none/at/all", 1) }, []int64{4*dirs + 28*censusBlock, 0}},
		{"other spellings", func(o *Owners) { o.Give("./a//b/", 1) }, []int64{3*dirs + 25*censusBlock, dirs + 3*censusBlock}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o Owners
			tt.give(&o)
			got, err := o.Census(t.Context(), dir)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestCensusErrors(t *testing.T) {
	dir := scratch(t)
	apply(t, dir, file("f", "", 0o600), symlink(".", "link"))
	for _, name := range []string{"none", "f", "link"} {
		if _, err := new(Owners).Census(t.Context(), dir+"/"+name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := new(Owners).Census(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCensusAgreesWithDu makes trees of all kinds of files, links between owners among them.
func TestCensusAgreesWithDu(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		dir := scratch(t)
		var o Owners
		dirs, files := []string{"."}, []string(nil)
		for i := range 60 {
			name := filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprint(i))
			if r.IntN(4) == 0 {
				o.Give(name, r.IntN(5))
			}
			switch r.IntN(5) {
			case 0:
				apply(t, dir, directory(name, 0o755))
				dirs = append(dirs, name)
			case 1:
				apply(t, dir, symlink(strings.Repeat("t", r.IntN(200)+1), name))
			case 2:
				if len(files) > 0 {
					apply(t, dir, hardlink(files[r.IntN(len(files))], name))
				}
			case 3:
				apply(t, dir, node(name, unix.S_IFIFO|0o600, 0))
				files = append(files, name)
			default:
				apply(t, dir, file(name, strings.Repeat("f", r.IntN(20_000)), 0o600))
				files = append(files, name)
			}
		}
		got, err := o.Census(t.Context(), dir)
		if sum, want := total(got), testutil.DiskUsage(t, dir); err != nil || sum != want {
			t.Errorf("seed %d: %v make %d, %v; du says %d", seed, got, sum, err, want)
		}
	}
}

func total(list []int64) (sum int64) {
	for _, n := range list {
		sum += n
	}
	return sum
}

func TestCensusLeavesMountsOut(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := scratch(t)
	apply(t, dir, directory("m", 0o755), directory("d", 0o755), file("d/f", "x", 0o600), directory("bound", 0o755))
	if err := unix.Mount("tmpfs", dir+"/m", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/m", unix.MNT_DETACH)
	apply(t, dir, file("m/f", "x", 0o600))
	got, err := new(Owners).Census(t.Context(), dir)
	if want := testutil.DiskUsage(t, dir); err != nil || total(got) != want {
		t.Errorf("got %v, %v; du says %d", got, err, want)
	}
	if err := unix.Mount(dir+"/d", dir+"/bound", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/bound", unix.MNT_DETACH)
	if again, err := new(Owners).Census(t.Context(), dir); err != nil || total(again) != total(got)-censusBlock {
		t.Errorf("with a directory bound over another: got %v, %v; before %v", again, err, got)
	}
}

// TestCensusWhileFilesGo walks a directory in which files and directories come and go all the time.
func TestCensusWhileFilesGo(t *testing.T) {
	dir := scratch(t)
	const many = 300
	name := func(i int) string { return filepath.Join(dir, strconv.Itoa(i%many)) }
	for i := range many {
		apply(t, dir, directory(strconv.Itoa(i), 0o755))
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			err := os.Remove(name(i))
			if i/many%2 == 0 {
				err = errors.Join(err, os.WriteFile(name(i), nil, 0o600))
			} else {
				err = errors.Join(err, os.Mkdir(name(i), 0o755))
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	var failed error
	for i := 0; i < 100 && failed == nil; i++ {
		_, failed = new(Owners).Census(t.Context(), dir)
	}
	close(stop)
	if err := errors.Join(failed, <-done); err != nil {
		t.Error(err)
	}
}

func TestCensusDeep(t *testing.T) {
	dir := memory(t)
	nest(t, dir, 2500)
	if _, err := new(Owners).Census(t.Context(), dir); err != nil {
		t.Error(err)
	}
}
