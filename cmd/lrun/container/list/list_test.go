package list

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func fixture(name string, st runtime.State) listed {
	return listed{runtime.Container{
		ID: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Name: name, Image: "busybox", Network: "none",
		ImageID: "sha256:fa3bcab5c2df5a284eacc1ffc2e3495d819e4446a3aaf6d959ba0809ea45daa1", Created: time.Unix(1_700_000_000, 0),
		Labels: map[string]string{"tier": "web", "b": ""}, Settings: spec.Settings{Args: []string{"sh", "-c", "echo hello >/greeting"}},
	}, st}
}

func TestRow(t *testing.T) {
	now := time.Unix(1_700_000_100, 0)
	for name, c := range map[string]struct {
		state  runtime.State
		status string
	}{
		"running": {runtime.State{Status: runtime.Running, StartedAt: now.Add(-time.Hour)}, "Up About an hour"},
		"exited":  {runtime.State{Status: runtime.Exited, ExitCode: 137, FinishedAt: now.Add(-3 * time.Second)}, "Exited (137) 3 seconds ago"},
		"created": {runtime.State{Status: runtime.Created}, "Created"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{}
			got := o.row(now, fixture("web", c.state))
			if got.Status != c.status || got.ID != "0123456789ab" || got.Command != `"sh -c 'echo hello >…"` || got.RunningFor != "About a minute ago" {
				t.Errorf("got %+v", got)
			}
			if got.Labels != "b=,tier=web" || got.Label("tier") != "web" {
				t.Errorf("labels %q", got.Labels)
			}
			o.noTrunc = true
			if got := o.row(now, fixture("web", c.state)); len(got.ID) != 64 || got.Command != `"sh -c 'echo hello >/greeting'"` {
				t.Errorf("whole: %s %s", got.ID, got.Command)
			}
		})
	}
}

// A table of any field has a header.
func TestEveryFieldHasAColumn(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[row]()) {
		if field.IsExported() && !slices.ContainsFunc(columns(), func(c format.Column) bool { return c.Field == field.Name }) {
			t.Errorf("%s has no column", field.Name)
		}
	}
}

func TestSelection(t *testing.T) {
	running := fixture("web", runtime.State{Status: runtime.Running})
	exited := fixture("db", runtime.State{Status: runtime.Exited, ExitCode: 3})
	created := fixture("new", runtime.State{Status: runtime.Created})
	for name, c := range map[string]struct {
		set  func(*options)
		want []string
	}{
		"those that run":      {func(*options) {}, []string{"web"}},
		"all":                 {func(o *options) { o.all = true }, []string{"web", "db", "new"}},
		"status shows others": {func(o *options) { _ = o.filters.Set("status=exited") }, []string{"db"}},
		"exit code":           {func(o *options) { _ = o.filters.Set("exited=3") }, []string{"db"}},
		"other exit code":     {func(o *options) { _ = o.filters.Set("exited=0") }, nil},
		"part of a name":      {func(o *options) { o.all = true; _ = o.filters.Set("name=e") }, []string{"web", "new"}},
		"a whole name":        {func(o *options) { o.all = true; _ = o.filters.Set("name=^w.b$") }, []string{"web"}},
		"a name with a slash": {func(o *options) { o.all = true; _ = o.filters.Set("name=^/db$") }, []string{"db"}},
		"no whole name":       {func(o *options) { o.all = true; _ = o.filters.Set("name=^e$") }, nil},
		"ancestor by now":     {func(o *options) { _ = o.filters.Set("ancestor=again") }, []string{"web"}},
		"ancestor not now":    {func(o *options) { _ = o.filters.Set("ancestor=moved") }, nil},
		"state of others":     {func(o *options) { _ = o.filters.Set("status=paused") }, nil},
		"two names":           {func(o *options) { o.all = true; _ = o.filters.Set("name=web"); _ = o.filters.Set("name=db") }, []string{"web", "db"}},
		"label with a value":  {func(o *options) { _ = o.filters.Set("label=tier=web") }, []string{"web"}},
		"label without":       {func(o *options) { _ = o.filters.Set("label=none") }, nil},
		"ancestor":            {func(o *options) { _ = o.filters.Set("ancestor=busybox:latest") }, []string{"web"}},
		"ancestor by id":      {func(o *options) { _ = o.filters.Set("ancestor=fa3bcab5c2df") }, []string{"web"}},
		"no such ancestor":    {func(o *options) { _ = o.filters.Set("ancestor=alpine") }, nil},
		"id":                  {func(o *options) { _ = o.filters.Set("id=0123") }, []string{"web"}},
		"network":             {func(o *options) { _ = o.filters.Set("network=host") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var o options
			c.set(&o)
			keep, err := selection(&o, func(name string) string {
				return map[string]string{"again": running.ImageID, "moved": "sha256:0"}[name]
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range []listed{running, exited, created} {
				if keep(l) {
					got = append(got, l.Name)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	for _, bad := range []string{"colour=red", "status=gone", "exited=x", "name=("} {
		var o options
		_ = o.filters.Set(bad)
		if _, err := selection(&o, nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

// A container that goes while the list is read is left out: it is no error, and was never only created.
func TestContainersThatGoMeanwhile(t *testing.T) {
	store := runtime.Open(filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "state"))
	c := runtime.Container{ID: runtime.NewID(), Name: "web", Settings: spec.Settings{Args: []string{"true"}}}
	claim, err := store.Claim(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	if err := store.Create(claim, c); err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(filepath.Join(store.Dir(c.ID), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			id := runtime.NewID()
			dir := store.Dir(id)
			config := filepath.Join(dir, "config.json")
			err := os.Mkdir(dir, 0o700)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"status":"exited"}`), 0o600)
			}
			if err == nil {
				err = atomicfile.Write(config, bytes.ReplaceAll(record, []byte(c.ID), []byte(id)), 0o600, atomicfile.Volatile)
			}
			if err == nil {
				err = os.Remove(config)
			}
			if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
				done <- err
				return
			}
		}
	}()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		all, err := readAll(store)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			if l.ID != c.ID && l.state.Status == runtime.Created {
				t.Error("it is listed as created")
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
