package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/procstat"
	"github.com/lrun-dev/lrun/runtime/share"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// donorStore has a running container "donor", which is this test's own process, with the given settings.
func donorStore(t *testing.T, settings spec.Settings) (*Store, Container, State) {
	t.Helper()
	s := Open(filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "state"))
	settings.Args, settings.Hostname = []string{"true"}, "box"
	c := Container{ID: NewID(), Name: "donor", Settings: settings}
	claim, err := s.Claim(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Create(claim, c), claim.Close()); err != nil {
		t.Fatal(err)
	}
	self, err := procstat.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	id, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	st := State{Status: Running, Pid: os.Getpid(), PidStart: self.Start, BootID: id}
	if err := s.writeState(c.ID, st, atomicfile.Volatile); err != nil {
		t.Fatal(err)
	}
	return s, c, st
}

func TestResolveDonors(t *testing.T) {
	s, donor, _ := donorStore(t, spec.Settings{})
	mode := spec.DonorMode(donor.ID)
	c := Container{Network: "container:donor", Settings: spec.Settings{Sharing: spec.Sharing{
		PID: "container:donor", IPC: spec.DonorMode(donor.ID[:20]), Network: "container:donor", UTS: "host",
	}}}
	if err := s.ResolveDonors(&c); err != nil {
		t.Fatal(err)
	}
	if want := (spec.Sharing{PID: mode, IPC: mode, Network: mode, UTS: "host"}); c.Settings.Sharing != want || c.Network != mode || c.Settings.Hostname != "box" {
		t.Errorf("got %+v, network %q, host name %q", c.Settings.Sharing, c.Network, c.Settings.Hostname)
	}
	c.Settings.Sharing.PID = "container:nobody"
	if err := s.ResolveDonors(&c); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

// A number that another process has by now must not lead into that process's namespaces.
func TestJoinBelievesNoNumberAlone(t *testing.T) {
	s, donor, st := donorStore(t, spec.Settings{})
	joiner := Container{ID: NewID(), Settings: spec.Settings{Sharing: spec.Sharing{PID: spec.DonorMode(donor.ID)}}}
	j, err := share.Open(donors{s}, joiner.ID, joiner.Settings)
	if err != nil || len(j.Paths) != 1 {
		t.Fatal(j, err)
	}
	want, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(j.Paths["pid"]); err != nil || got != want {
		t.Errorf("joins %q, %v; want %q", got, err, want)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*State){
		"another process": func(st *State) { st.PidStart++ },
		"another boot":    func(st *State) { st.BootID = "x" },
		"nobody":          func(st *State) { st.Pid = 1 << 22 },
		"ended":           func(st *State) { st.Status = Exited },
	} {
		t.Run(name, func(t *testing.T) {
			changed := st
			change(&changed)
			if err := s.writeState(donor.ID, changed, atomicfile.Volatile); err != nil {
				t.Fatal(err)
			}
			// Its lrun is there and about to record the end, so the state says that it runs.
			claim, err := s.Claim(t.Context(), donor.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer claim.Close()
			j, err := share.Open(donors{s}, joiner.ID, joiner.Settings)
			if !errors.Is(err, errdefs.ErrFailedPrecondition) {
				t.Errorf("got %v, %v", j, err)
			}
		})
	}
}
