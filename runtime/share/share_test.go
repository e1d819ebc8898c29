package share

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// containers are settings by id, none of which runs, in a directory.
type containers struct {
	settings map[string]spec.Settings
	dir      string
}

// Settings implements Donors.
func (c containers) Settings(id string) (spec.Settings, error) {
	s, ok := c.settings[id]
	if !ok {
		return s, errdefs.ErrNotFound
	}
	return s, nil
}

// First implements Donors.
func (c containers) First(string) (int, func() bool, error) { return 0, nil, nil }

// RunDir implements Donors.
func (c containers) RunDir(id string) string { return filepath.Join(c.dir, id) }

func with(mode string) spec.Settings { return spec.Settings{Sharing: spec.Sharing{IPC: mode}} }

func TestMemoryIsOnlyOfThoseThatShareIt(t *testing.T) {
	if !isMount(spec.SharedMemoryPath) {
		testutil.Missing(t, "a mounted "+spec.SharedMemoryPath)
	}
	all := containers{map[string]spec.Settings{
		"private": {}, "none": with(spec.ModeNone), "host": with(spec.ModeHost), "unmounted": with(spec.ModeShareable),
		"of host": with("container:host"), "of private": with("container:private"), "of nobody": with("container:nobody"),
	}, t.TempDir()}
	for id, c := range map[string]struct {
		want string
		err  error
	}{
		"private":    {"", errdefs.ErrFailedPrecondition},
		"none":       {"", errdefs.ErrFailedPrecondition},
		"unmounted":  {"", errdefs.ErrFailedPrecondition},
		"of private": {"", errdefs.ErrFailedPrecondition},
		"of nobody":  {"", errdefs.ErrNotFound},
		"host":       {"/dev/shm", nil},
		"of host":    {"/dev/shm", nil},
	} {
		got, err := memory(all, "new", with("container:"+id))
		if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: got %q, %v; want %q, %v", id, got, err, c.want, c.err)
		}
	}
}

func TestMemoryIsMountedAndTakenAway(t *testing.T) {
	testutil.RequireRoot(t)
	all := containers{map[string]spec.Settings{"donor": with(spec.ModeShareable)}, t.TempDir()}
	j, err := Open(all, "donor", all.settings["donor"])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := donated(all, "donor"); err != nil || got != j.Memory || !isMount(got) {
		t.Errorf("got %q, %v; want %q, mounted", got, err, j.Memory)
	}
	for range 2 {
		if err := RemoveMemory(all.RunDir("donor")); err != nil || isMount(j.Memory) {
			t.Errorf("left mounted: %v, %v", isMount(j.Memory), err)
		}
	}
}

func TestWhatDoesNotRunIsNotJoined(t *testing.T) {
	all := containers{map[string]spec.Settings{"idle": {}}, t.TempDir()}
	for id, want := range map[string]error{"idle": errdefs.ErrFailedPrecondition, "nobody": errdefs.ErrNotFound} {
		j, err := Open(all, "new", spec.Settings{Sharing: spec.Sharing{Network: "container:" + id}})
		if !errors.Is(err, want) || len(j.files) != 0 {
			t.Errorf("%s: got %v, %v; want %v", id, j, err, want)
		}
	}
}
