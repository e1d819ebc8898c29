package runtime_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// mapped makes a container with a range of ids; its claim stays locked.
func mapped(t *testing.T, s *runtime.Store, remove bool) (runtime.Container, *runtime.Claim) {
	t.Helper()
	c := runtime.Container{ID: runtime.NewID(), Name: "n" + runtime.NewID()[:8], Created: time.Unix(1700000000, 0).UTC(), Remove: remove}
	c.Settings = spec.Settings{Args: []string{"true"}, UserNS: spec.UserNamespace{Auto: true}}
	claim, err := s.Claim(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.TakeIDs(&c), s.Create(claim, c)); err != nil {
		t.Fatal(err)
	}
	return c, claim
}

func taken(t *testing.T, root string) int {
	t.Helper()
	links, err := filepath.Glob(root + "/userns/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(links)
}

func TestIDsLiveAsLongAsTheContainer(t *testing.T) {
	testutil.RequireRoot(t) // to delete is to look for a cgroup
	s, root, _ := open(t)
	a, claim := mapped(t, s, false)
	b, other := mapped(t, s, true)
	defer claim.Close()
	defer other.Close()
	if !a.Settings.UserNS.Own() || a.Settings.UserNS.UIDs[0] == b.Settings.UserNS.UIDs[0] || taken(t, root) != 2 {
		t.Fatalf("got %v and %v", a.Settings.UserNS, b.Settings.UserNS)
	}
	if again, err := s.Get(a.ID); err != nil || again.Settings.UserNS.UIDs[0] != a.Settings.UserNS.UIDs[0] {
		t.Errorf("recorded: %v, %v", again.Settings.UserNS, err)
	}
	if err := s.Delete(context.Background(), a.ID, none); err != nil || taken(t, root) != 1 {
		t.Errorf("%d ranges after the first is deleted, %v", taken(t, root), err)
	}
	if err := s.DeleteEnded(context.Background(), b, none); err != nil || taken(t, root) != 0 {
		t.Errorf("%d ranges after the second is deleted, %v", taken(t, root), err)
	}
	c := runtime.Container{ID: runtime.NewID()}
	if err := s.TakeIDs(&c); err != nil || c.Settings.UserNS.Own() || taken(t, root) != 0 {
		t.Errorf("who asks for no ids got %v, %v", c.Settings.UserNS, err)
	}
}

// Killed after the ids were taken, with and without a record; and what a loss of power does to the links.
func TestSweepPutsIDsRight(t *testing.T) {
	testutil.RequireRoot(t)
	s, root, state := open(t)
	if err := s.Sweep(context.Background(), none); err != nil {
		t.Fatal(err)
	}
	_, removed := mapped(t, s, true)
	half := runtime.Container{ID: runtime.NewID(), Settings: spec.Settings{UserNS: spec.UserNamespace{Auto: true}}}
	halfClaim, err := s.Claim(context.Background(), half.ID)
	if err != nil {
		t.Fatal(err)
	}
	kept, keptClaim := mapped(t, s, false)
	if err := errors.Join(s.TakeIDs(&half), keptClaim.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(context.Background(), none); err != nil || taken(t, root) != 3 {
		t.Errorf("%d ranges while all have their claims, %v", taken(t, root), err)
	}
	// Done with an error gives the lock up and leaves the file, as a kill does.
	_, _ = removed.Done(errors.New("killed")), halfClaim.Done(errors.New("killed"))
	if err := s.Sweep(context.Background(), none); err != nil || taken(t, root) != 1 {
		t.Errorf("%d ranges after a sweep, want that of %s, %v", taken(t, root), kept.ID, err)
	}
	links, err := filepath.Glob(root + "/userns/*")
	if err != nil || len(links) != 1 {
		t.Fatal(links, err)
	}
	if err := errors.Join(os.Remove(links[0]), os.Symlink("0123456789abcdef", filepath.Join(root, "userns", "1000")), os.Remove(state+"/swept")); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(context.Background(), none); err != nil {
		t.Fatal(err)
	}
	if id, err := os.Readlink(links[0]); err != nil || id != kept.ID || taken(t, root) != 1 {
		t.Errorf("after a boot the range is %q's, %v, of %d", id, err, taken(t, root))
	}
}

// The first sweep after a boot may look at the ids of a container just when that is made and its claim given up.
func TestSweepWhileAContainerIsMade(t *testing.T) {
	testutil.RequireRoot(t)
	s, root, state := open(t)
	c, claim := mapped(t, s, false)
	aside, pipe := filepath.Join(root, "aside"), filepath.Join(state, "active", c.ID)
	// A pipe in the place of the claim holds up who looks whether somebody has it.
	if err := errors.Join(claim.Close(), os.Rename(s.Dir(c.ID), aside), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	swept := make(chan error, 1)
	go func() { swept <- s.Sweep(context.Background(), none) }()
	time.Sleep(200 * time.Millisecond)
	if err := os.Rename(aside, s.Dir(c.ID)); err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	if err := <-swept; err != nil || taken(t, root) != 1 {
		t.Errorf("%d ranges, want that of %s, %v", taken(t, root), c.ID, err)
	}
}
