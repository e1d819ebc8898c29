package runtime_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime"
)

// A container with --rm goes with its program. When its lrun is killed nobody removes it at once, but nobody sees it either.
func TestRemovedContainerWhoseLrunWasKilled(t *testing.T) {
	for name, c := range map[string]struct {
		remove  bool
		state   string
		claimed string // held, left or none; no boot: none, and nobody has swept in this boot
		seen    bool
	}{
		"running, its lrun is there":               {true, `{"status":"running","pid":4194305}`, "held", true},
		"being made, its lrun is there":            {true, "", "held", true},
		"half made, its lrun was killed":           {true, "", "left", false},
		"it ended, its lrun was killed":            {true, `{"status":"running","pid":4194305}`, "left", false},
		"it ended with the machine":                {true, `{"status":"running","pid":4194305}`, "no boot", false},
		"created and not started":                  {true, "", "none", true},
		"created before the machine went down":     {true, "", "no boot", false},
		"it is to stay, and its lrun was killed":   {false, `{"status":"running","pid":4194305}`, "left", true},
		"it is to stay, and went with the machine": {false, `{"status":"running","pid":4194305}`, "none", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, state := open(t)
			made := create(t, s, runtime.Container{Name: "web", Remove: c.remove})
			if c.state != "" {
				writeFile(t, filepath.Join(s.Dir(made.ID), "state.json"), c.state)
			}
			switch c.claimed {
			case "held":
				claim, err := s.Claim(context.Background(), made.ID)
				if err != nil {
					t.Fatal(err)
				}
				defer claim.Close()
			case "none":
				writeFile(t, filepath.Join(state, "swept"), "")
			case "left":
				writeFile(t, filepath.Join(state, "active", made.ID), "")
			}
			list, err := s.List()
			if err != nil || (len(list) == 1) != c.seen {
				t.Errorf("listed %d, %v; want it seen: %v", len(list), err, c.seen)
			}
			for _, ref := range []string{"web", made.ID, made.ID[:12]} {
				_, err := s.Resolve(ref)
				if c.seen && err != nil || !c.seen && !errors.Is(err, errdefs.ErrNotFound) {
					t.Errorf("resolve %s: %v; want it seen: %v", ref, err, c.seen)
				}
			}
		})
	}
}

// A deletion that is cut off anywhere has either not begun, so that the container is whole, name and all, or it goes on
// with the next sweep.
func TestDeletionThatIsCutOff(t *testing.T) {
	s, root, state := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	cut := errors.New("cut off")
	named := func() bool {
		_, err := os.Lstat(filepath.Join(root, "names", "web"))
		return err == nil
	}
	err := s.Delete(context.Background(), c.ID, func(context.Context, string) error {
		if _, err := s.Get(c.ID); !errors.Is(err, errdefs.ErrNotFound) || named() {
			t.Errorf("while its root goes there is still a record (%v) or a name (%v)", err, named())
		}
		return cut
	})
	if !errors.Is(err, cut) {
		t.Fatal(err)
	}
	// As after a kill between the record and the name.
	writeFile(t, filepath.Join(root, "names", "web"), c.ID)
	writeFile(t, filepath.Join(state, "active", c.ID), "")
	if err := s.Sweep(context.Background(), none); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(s.Dir(c.ID)); err == nil || named() {
		t.Errorf("after the sweep: directory %v, name %v", err, named())
	}
}

// The record goes first: with the name gone and the record there, nothing could call the container by its name.
func TestDeletionNeverLeavesARecordWithoutItsName(t *testing.T) {
	s, root, _ := open(t)
	c := create(t, s, runtime.Container{Name: "web"})
	// What cannot be removed stops the deletion at the record.
	config := filepath.Join(s.Dir(c.ID), "config.json")
	content, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(config), os.MkdirAll(filepath.Join(config, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteEnded(context.Background(), c, none); err == nil {
		t.Fatal("a record that cannot be removed was removed")
	}
	if err := errors.Join(os.RemoveAll(config), os.WriteFile(config, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "names", "web")); err != nil {
		t.Errorf("the name went before the record: %v", err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// A power loss leaves nothing in a state that was not synced: only that of a container which was being started is not.
func TestStateThatWasCutOff(t *testing.T) {
	for content, lost := range map[string]bool{"": true, "\x00\x00\x00": true, "{": false} {
		s, _, _ := open(t)
		made := create(t, s, runtime.Container{Name: "web"})
		writeFile(t, filepath.Join(s.Dir(made.ID), "state.json"), content)
		st, err := s.State(made.ID)
		if !lost {
			if !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("%q: %+v, %v", content, st, err)
			}
			continue
		}
		if err != nil || st.Status != runtime.Exited || st.ExitCode != 137 || st.Error == "" {
			t.Errorf("%q: %+v, %v", content, st, err)
		}
	}
}

// The record of a container with --rm is not synced: one that a power loss has cut off is none, and the directory goes.
func TestRecordThatWasCutOff(t *testing.T) {
	for _, content := range []string{"", "\x00\x00"} {
		s, _, _ := open(t)
		made := create(t, s, runtime.Container{Name: "web", Remove: true})
		writeFile(t, filepath.Join(s.Dir(made.ID), "config.json"), content)
		if list, err := s.List(); err != nil || len(list) != 0 {
			t.Errorf("%q: listed %d, %v", content, len(list), err)
		}
		if _, err := s.Get(made.ID); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%q: %v", content, err)
		}
		if err := s.Sweep(t.Context(), func(context.Context, string) error { return nil }); err != nil {
			t.Errorf("%q: %v", content, err)
		}
		if _, err := os.Lstat(s.Dir(made.ID)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: the directory is there: %v", content, err)
		}
	}
}

// What is left of a container that has no directory is found when somebody says that there may be something.
func TestSuspect(t *testing.T) {
	s, _, _ := open(t)
	id := runtime.NewID()
	var released []string
	release := func(_ context.Context, id string) error {
		released = append(released, id)
		return nil
	}
	if s.Swept() {
		t.Error("swept before the first sweep")
	}
	if err := s.Suspect(id); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), release); err != nil || len(released) != 1 || released[0] != id {
		t.Errorf("released %q, %v", released, err)
	}
	if !s.Swept() {
		t.Error("not swept after the first sweep")
	}
	claim, err := s.Claim(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	if err := errors.Join(s.Suspect(id), s.Sweep(t.Context(), release)); err != nil || len(released) != 1 {
		t.Errorf("released %q under who has it, %v", released, err)
	}
}

// Killed between the cgroup and the first state: what only a running container has goes, and the state stays.
func TestStartThatWasKilled(t *testing.T) {
	testutil.RequireRoot(t)
	for name, content := range map[string]string{"created": "", "exited": `{"status":"exited","exitCode":7}`} {
		t.Run(name, func(t *testing.T) {
			s, _, state := open(t)
			if err := s.Sweep(t.Context(), none); err != nil { // the first of this boot
				t.Fatal(err)
			}
			made := create(t, s, runtime.Container{Name: "web"})
			if content != "" {
				writeFile(t, filepath.Join(s.Dir(made.ID), "state.json"), content)
			}
			hierarchy, err := s.Cgroups()
			if err != nil {
				t.Fatal(err)
			}
			group, err := hierarchy.Create("/lrun/"+made.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := group.Remove(); err != nil {
					t.Error(err)
				}
			})
			writeFile(t, filepath.Join(state, "active", made.ID), "")
			if err := errors.Join(os.MkdirAll(s.RunDir(made.ID), 0o700), s.Sweep(t.Context(), none)); err != nil {
				t.Fatal(err)
			}
			if left, err := hierarchy.Open("/lrun/" + made.ID); err != nil || len(left.Mounts()) > 0 {
				t.Errorf("its group is there: %v, %v", left.Paths(), err)
			}
			for _, path := range []string{s.RunDir(made.ID), filepath.Join(state, "active", made.ID)} {
				if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is there: %v", path, err)
				}
			}
			if st, err := s.State(made.ID); err != nil || string(st.Status) != name || name == "exited" && st.ExitCode != 7 {
				t.Errorf("its state is %+v, %v", st, err)
			}
		})
	}
}

// Who looks for what a boot has left may come late: another has swept since, and then made a container that is removed
// at its end and that nobody has started yet.
func TestSuspectThatComesLate(t *testing.T) {
	testutil.RequireRoot(t)
	s, _, state := open(t)
	if s.Swept() {
		t.Fatal("swept before the first sweep")
	}
	made := create(t, s, runtime.Container{Name: "web", Remove: true})
	writeFile(t, filepath.Join(state, "swept"), "")
	if err := errors.Join(s.Suspect(made.ID), s.Sweep(t.Context(), none)); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(made.ID); err != nil {
		t.Errorf("it was swept: %v", err)
	}
}

// A container that was created with --rm is nobody's leftover while somebody claims it and lets it go, to start it or to look.
func TestClaimsOfACreatedContainerBesideSweeps(t *testing.T) {
	s, _, state := open(t)
	writeFile(t, filepath.Join(state, "swept"), "")
	c := create(t, s, runtime.Container{Name: "web", Remove: true})
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.Sweep(t.Context(), none); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 1000 {
		claim, err := s.Claim(t.Context(), c.ID)
		if i%2 == 1 && err == nil {
			if err = claim.Close(); err == nil {
				claim, err = s.TryClaim(c.ID)
			}
		}
		if err == nil {
			err = claim.Close()
		}
		if err != nil && !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Fatal(err)
		}
		if _, err := s.Get(c.ID); err != nil {
			t.Errorf("after %d claims: %v", i, err)
			break
		}
	}
	close(stop)
	group.Wait()
}

// A container that went with its program was never only created.
func TestStateOfAContainerThatIsGone(t *testing.T) {
	s, _, _ := open(t)
	c := create(t, s, runtime.Container{Name: "web", Remove: true})
	if err := s.Delete(t.Context(), c.ID, none); err != nil {
		t.Fatal(err)
	}
	if st, err := s.State(c.ID); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %+v, %v", st, err)
	}
}
