package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/name"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func open(t testing.TB) (*runtime.Store, string, string) {
	t.Helper()
	root, state := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "state")
	return runtime.Open(root, state), root, state
}

func create(t testing.TB, s *runtime.Store, c runtime.Container) runtime.Container {
	t.Helper()
	if c.ID == "" {
		c.ID = runtime.NewID()
	}
	c.Created = time.Unix(1700000000, 0).UTC()
	c.Settings = spec.Settings{Args: []string{"true"}, Hostname: "box"}
	claim, err := s.Claim(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	if err := s.Create(claim, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func none(context.Context, string) error { return nil }

func TestContainerIsFoundByNameIDAndPrefix(t *testing.T) {
	s, _, _ := open(t)
	a := create(t, s, runtime.Container{ID: strings.Repeat("a1", 32), Name: "web"})
	b := create(t, s, runtime.Container{ID: "a1b" + strings.Repeat("0", 61), Name: "a1a"})
	for name, want := range map[string]string{
		"web": a.ID, a.ID: a.ID, "a1a1": a.ID, "a1b": b.ID, "a1a": b.ID, // a name goes before a prefix
	} {
		if c, err := s.Resolve(name); err != nil || c.ID != want {
			t.Errorf("Resolve(%q) = %s, %v; want %s", name, c.ID, err, want)
		}
	}
	for name, class := range map[string]error{
		"a1": errdefs.ErrInvalidArgument, "": errdefs.ErrNotFound, "nobody": errdefs.ErrNotFound, "f": errdefs.ErrNotFound,
		"../names/web": errdefs.ErrNotFound, "..": errdefs.ErrNotFound,
	} {
		if c, err := s.Resolve(name); !errors.Is(err, class) {
			t.Errorf("Resolve(%q) = %s, %v; want %v", name, c.ID, err, class)
		}
	}
}

func TestNameIsTakenOnceAndFreeAfterDelete(t *testing.T) {
	s, _, _ := open(t)
	first := create(t, s, runtime.Container{Name: "web"})
	second := runtime.Container{ID: runtime.NewID(), Name: "web"}
	claim, err := s.Claim(context.Background(), second.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(claim, second); !errors.Is(err, errdefs.ErrAlreadyExists) || !strings.Contains(err.Error(), first.ID[:12]) {
		t.Errorf("a taken name: %v", err)
	}
	if list, err := s.List(); len(list) != 1 || err != nil {
		t.Errorf("%d containers, %v", len(list), err)
	}
	if err := s.Delete(context.Background(), first.ID, none); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(claim, second); err != nil {
		t.Errorf("the name of a deleted container: %v", err)
	}
	if err := claim.Close(); err != nil {
		t.Error(err)
	}
}

// Nobody waits until the name of a container with --rm is on disk: after a power loss it may be there without its content.
func TestNameWithoutItsContentIsFree(t *testing.T) {
	s, root, _ := open(t)
	create(t, s, runtime.Container{Name: "web"})
	for _, content := range []string{"", strings.Repeat("\x00", 64), "../../web"} {
		if err := os.WriteFile(filepath.Join(root, "names", "lost"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := s.Resolve("lost"); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%q: found %s, %v", content, c.ID, err)
		}
		c := create(t, s, runtime.Container{Name: "lost"})
		if found, err := s.Resolve("lost"); err != nil || found.ID != c.ID {
			t.Errorf("%q: found %s, %v, want %s", content, found.ID, err, c.ID)
		}
		if err := s.Delete(context.Background(), c.ID, none); err != nil {
			t.Fatal(err)
		}
	}
}

// When a container without a record goes, so do names without their content, but not what could not be read.
func TestWhatCannotBeReadIsNoLostName(t *testing.T) {
	s, root, _ := open(t)
	kept := create(t, s, runtime.Container{Name: "web"})
	lost, unread := filepath.Join(root, "names", "lost"), filepath.Join(root, "names", "unread")
	if err := errors.Join(os.WriteFile(lost, make([]byte, 64), 0o600), os.Mkdir(unread, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(context.Background(), runtime.NewID(), none); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(lost); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the name without its content is still there: %v", err)
	}
	if _, err := os.Lstat(unread); err != nil {
		t.Errorf("what could not be read is gone: %v", err)
	}
	if c, err := s.Resolve("web"); err != nil || c.ID != kept.ID {
		t.Errorf("another's name: %s, %v", c.ID, err)
	}
}

func TestManyTakeOneName(t *testing.T) {
	s, _, _ := open(t)
	var group sync.WaitGroup
	won := make(chan string, 20)
	for range 20 {
		group.Go(func() {
			c := runtime.Container{ID: runtime.NewID(), Name: "web"}
			claim, err := s.Claim(context.Background(), c.ID)
			if err != nil {
				t.Error(err)
				return
			}
			defer claim.Close()
			switch err := s.Create(claim, c); {
			case err == nil:
				won <- c.ID
			case !errors.Is(err, errdefs.ErrAlreadyExists):
				t.Error(err)
			}
		})
	}
	group.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d containers have one name", len(won))
	}
	if c, err := s.Resolve("web"); err != nil || c.ID != <-won {
		t.Errorf("the name leads to %s, %v", c.ID, err)
	}
}

func TestRandomNamesAreValidAndFree(t *testing.T) {
	s, _, _ := open(t)
	for range 50 {
		random := s.RandomName()
		if err := name.Check(random); err != nil {
			t.Fatal(err)
		}
		create(t, s, runtime.Container{Name: random})
	}
}

func TestDeleteLeavesNothing(t *testing.T) {
	s, root, state := open(t)
	before := files(t, root, state)
	c := create(t, s, runtime.Container{Name: "web"})
	var released []string
	claim, err := s.Claim(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is gone already is no error
		err := s.Delete(context.Background(), c.ID, func(_ context.Context, id string) error {
			released = append(released, id)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	if len(released) != 2 || released[0] != c.ID {
		t.Errorf("released %v", released)
	}
	if after := files(t, root, state); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

// files lists the files and the container directories below some directories.
func files(t *testing.T, dirs ...string) string {
	t.Helper()
	var list []string
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && (!d.IsDir() || len(d.Name()) == 64) {
				list = append(list, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(list, "\n")
}

func TestStateAsksTheKernel(t *testing.T) {
	s, _, _ := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	if st, err := s.State(c.ID); err != nil || st.Status != runtime.Created {
		t.Errorf("a new container is %+v, %v", st, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	start := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[19]
	record := `{"status":"running","pid":%d,"pidStart":%s,"bootID":%q}`
	for name, c2 := range map[string]struct {
		record string
		want   runtime.Status
	}{
		"this process":          {fmt.Sprintf(record, os.Getpid(), start, strings.TrimSpace(string(boot))), runtime.Running},
		"a pid that was reused": {fmt.Sprintf(record, os.Getpid(), "1", strings.TrimSpace(string(boot))), runtime.Exited},
		"another boot":          {fmt.Sprintf(record, os.Getpid(), start, "other"), runtime.Exited},
		"a pid that nobody has": {fmt.Sprintf(record, 1<<22+1, start, strings.TrimSpace(string(boot))), runtime.Exited},
		"no pid":                {`{"status":"running"}`, runtime.Exited},
		"recorded as ended":     {`{"status":"exited","exitCode":3}`, runtime.Exited},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(s.Dir(c.ID), "state.json"), []byte(c2.record), 0o600); err != nil {
				t.Fatal(err)
			}
			if st, err := s.State(c.ID); err != nil || st.Status != c2.want {
				t.Errorf("got %+v, %v; want %s", st, err, c2.want)
			}
		})
	}
}

// Between the end of a program and its record the truth is not known yet: whoever ran it is about to write it.
func TestStateOfAProgramThatHasJustEnded(t *testing.T) {
	s, _, _ := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	if err := os.WriteFile(filepath.Join(s.Dir(c.ID), "state.json"), []byte(`{"status":"running","pid":4194305}`), 0o600); err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := s.State(c.ID); err != nil || st.Status != runtime.Running {
		t.Errorf("while its lrun is there: %+v, %v", st, err)
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := s.State(c.ID); err != nil || st.Status != runtime.Exited || st.ExitCode != 137 {
		t.Errorf("when nobody is there: %+v, %v", st, err)
	}
}

func TestDamagedRecordIsNamedAndDoesNotHideTheOthers(t *testing.T) {
	s, _, _ := open(t)
	good := create(t, s, runtime.Container{Name: "good"})
	bad := create(t, s, runtime.Container{Name: "bad"})
	path := filepath.Join(s.Dir(bad.ID), "config.json")
	another, err := os.ReadFile(filepath.Join(s.Dir(good.ID), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"{", "null", "{}", string(another)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := s.List()
		if len(list) != 1 || list[0].ID != good.ID || !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: got %d containers, %v", content, len(list), err)
		}
	}
}

func TestSweep(t *testing.T) {
	ctx := context.Background()
	s, root, state := open(t)
	kept := create(t, s, runtime.Container{Name: "kept"})
	temporary := create(t, s, runtime.Container{Name: "temporary", Remove: true})
	var released []string
	release := func(_ context.Context, id string) error {
		released = append(released, id)
		return nil
	}
	held, err := s.Claim(context.Background(), temporary.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "swept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(ctx, release); err != nil || len(released) != 0 {
		t.Fatalf("a claim that is held: released %v, %v", released, err)
	}
	// As kill -9 leaves them: the files of the claims are there, the locks are free; one directory is half made.
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	half := runtime.NewID()
	if err := os.MkdirAll(filepath.Join(root, "containers", half), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{kept.ID, temporary.ID, half} {
		if err := os.WriteFile(filepath.Join(state, "active", id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir(kept.ID), "state.json"), []byte(`{"status":"running","pid":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(ctx, release); err != nil {
		t.Fatal(err)
	}
	if len(released) != 2 {
		t.Errorf("released %v, want the temporary and the half-made one", released)
	}
	list, err := s.List()
	if err != nil || len(list) != 1 || list[0].ID != kept.ID {
		t.Errorf("left: %+v, %v", list, err)
	}
	if b, err := os.ReadFile(filepath.Join(s.Dir(kept.ID), "state.json")); err != nil || !strings.Contains(string(b), `"exited"`) {
		t.Errorf("the end is not recorded: %s, %v", b, err)
	}
	if left, _ := os.ReadDir(filepath.Join(state, "active")); len(left) != 0 {
		t.Errorf("claims left: %v", left)
	}
}

func TestFirstSweepAfterBootLooksAtEverything(t *testing.T) {
	s, root, state := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	for _, gone := range []string{filepath.Join(root, "names"), state} { // the names are not durable, the state is on a tmpfs
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(root, "containers", runtime.NewID())
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(context.Background(), none); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Resolve("web"); err != nil || got.ID != c.ID {
		t.Errorf("the name is lost: %v", err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("the half-made one is there: %v", err)
	}
}

func TestFirstSweepAfterBootWaitsForNobody(t *testing.T) {
	s, _, _ := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	claim, err := s.Claim(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Sweep(context.Background(), none) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testutil.Patience(10 * time.Second)):
		t.Error("it waits for the claim of a container that somebody works on")
	}
	if err := claim.Close(); err != nil {
		t.Error(err)
	}
}

func TestFilesForTheContainer(t *testing.T) {
	s, _, _ := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	for name, want := range map[string]string{"hostname": "box\n", "hosts": "127.0.0.1\tbox\n"} {
		b, err := os.ReadFile(filepath.Join(s.Dir(c.ID), name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func ExampleStore_Resolve() {
	dir, err := os.MkdirTemp("", "containers")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	_, err = runtime.Open(dir, filepath.Join(dir, "state")).Resolve("web")
	fmt.Println(err)
	// Output: container "web": no such container: not found
}
