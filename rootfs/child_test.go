package rootfs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs"
)

// childEnv makes the test binary another process of lrun: its value is what that one does.
const childEnv = "LRUN_ROOTFS_TEST_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		if err := child(strings.Fields(task)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts another process that does task in the world w.
func (w *world) start(t testing.TB, task ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(append([]string{w.root, w.driver}, task...), " "))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// child is another process: ROOT DRIVER TASK ARGUMENT.
func child(args []string) error {
	w, err := open(args[0], args[1])
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(args[3], 10, 64)
	if err != nil {
		return err
	}
	switch args[2] {
	case "add": // and die after n nanoseconds
		if n > 0 {
			time.AfterFunc(time.Duration(n), func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
		}
		_, err := w.add(context.Background(), large)
		return err
	case "churn": // for a while, with seed n
		return w.churn(context.Background(), rand.New(rand.NewPCG(uint64(n), 0)), time.Second)
	}
	return fmt.Errorf("unknown task %q", args[2])
}

// large has layers that take some time, that need each other, and one twice.
var large = func() spec {
	wide := []layertest.Entry{layertest.Dir("."), layertest.Dir("wide", layertest.Mode(0o700))}
	for i := range 300 {
		wide = append(wide, layertest.File(fmt.Sprintf("wide/%d", i), strings.Repeat("w", i*10)))
	}
	deep := layertest.Tar(layertest.File("wide/deep", strings.Repeat("deep", 100_000)), layertest.Whiteout("wide/1"))
	return spec{refs: []string{"large", "big:1"}, layers: [][]byte{
		base, layertest.Tar(wide...), change, deep, another, layertest.Tar(layertest.Opaque("wide"), layertest.File("wide/new", "n")), another,
	}}
}()

// small are images that share layers, by name.
var small = []spec{
	{refs: []string{"one"}, layers: [][]byte{base}},
	{refs: []string{"two"}, layers: [][]byte{base, change}},
	{refs: []string{"three"}, layers: [][]byte{base, another}},
	{refs: []string{"four"}, layers: [][]byte{another, base, change}},
	{refs: []string{"five"}, layers: [][]byte{base, change, another}},
}

// churn adds, runs, removes and sweeps small images at random until time is up. Only what other
// processes may cause is no error.
func (w *world) churn(ctx context.Context, r *rand.Rand, forHowLong time.Duration) error {
	for end := time.Now().Add(forHowLong); time.Now().Before(end); {
		s := small[r.IntN(len(small))]
		var err error
		switch r.IntN(5) {
		case 0, 1:
			_, err = w.add(ctx, s)
		case 2:
			_, err = w.Remove(ctx, s.refs[0], true, nil)
		case 3:
			err = w.runOnce(ctx, s, fmt.Sprintf("c-%d-%d", os.Getpid(), r.Int64()))
		case 4:
			err = w.Sweep(ctx)
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("%s: %w", s.refs[0], err)
		}
	}
	return nil
}

// runOnce does with an image what a container does, and looks at what it sees.
func (w *world) runOnce(ctx context.Context, s spec, key string) (err error) {
	im, err := w.find(ctx, s.refs[0])
	if err != nil {
		return err
	}
	if _, err := w.Prepare(ctx, key, im, rootfs.PrepareOptions{Volatile: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Release(ctx, key)) }()
	f, err := w.OpenRoot(ctx, key)
	if err != nil {
		return fmt.Errorf("%s: %w", err.Error(), errdefs.ErrDataLoss) // in a class that nothing excuses
	}
	defer f.Close()
	return look(fmt.Sprintf("/proc/self/fd/%d/", f.Fd()), s.layers)
}

// find reads an image. Again, when it was removed and added meanwhile.
func (w *world) find(ctx context.Context, name string) (im image.Image, err error) {
	for range 5 {
		var rec image.Record
		if rec, err = w.Images.Resolve(ctx, name); err != nil {
			return im, err
		}
		if im, err = w.Images.Load(ctx, rec); !errdefs.IsDataLoss(err) {
			return im, err
		}
	}
	return im, err
}

// look fails when dir does not hold what a container on layers, all of them small ones, must see.
func look(dir string, layers [][]byte) error {
	has := func(l []byte) bool { return slices.ContainsFunc(layers, func(o []byte) bool { return &o[0] == &l[0] }) }
	for name, want := range map[string]bool{
		"etc/passwd": true, "etc/shadow": !has(change), "tmp/x": has(change), "usr/lib/libm": has(change), "opt/o": has(another),
	} {
		if b, err := os.ReadFile(dir + name); (err == nil) != want || want && len(b) == 0 {
			return fmt.Errorf("%s: %d bytes, is there: %v, want %v: %w", name, len(b), err == nil, want, errdefs.ErrDataLoss)
		}
	}
	return nil
}
