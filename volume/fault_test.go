package volume_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/volume"
)

// damageTest is one thing that can be wrong.
type damageTest struct {
	name   string
	damage func(t *testing.T, dir string) // dir is the store's
	what   string                         // "damaged", "left over", "unknown"; "" for nothing
	says   string
	done   string // what Repair says; "" for an error
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

var anonymous = strings.Repeat("ab", 32)

var damageTests = []damageTest{
	{"nothing", func(*testing.T, string) {}, "", "", ""},
	{"a fill that did not end", func(t *testing.T, dir string) { put(t, dir+"/vol/filling", "") }, "", "", ""},
	{"a tie", func(t *testing.T, dir string) { put(t, dir+"/.of-"+anonymous+"-vol", "") }, "", "", ""},
	{"another file system", func(t *testing.T, dir string) { put(t, dir+"/lost+found/x", "") }, "", "", ""},
	{"no lock", func(t *testing.T, dir string) { remove(t, dir+"/vol/lock") }, "", "", ""},
	{"moved, with a link", func(t *testing.T, dir string) {
		if err := errors.Join(os.Rename(dir+"/vol", dir+"/../vol"), os.Symlink("../vol", dir+"/vol")); err != nil {
			t.Fatal(err)
		}
	}, "", "", ""},
	{"the record cut off", func(t *testing.T, dir string) { put(t, dir+"/vol/volume.json", `{"name":"vol",`) }, "damaged", "volume.json", "new record, without the labels"},
	{"the record empty", func(t *testing.T, dir string) { put(t, dir+"/vol/volume.json", "") }, "damaged", "volume.json", "the damaged one is"},
	{"a record of something else", func(t *testing.T, dir string) { put(t, dir+"/vol/volume.json", `[]`) }, "damaged", "volume.json", "new record"},
	{"a record of nothing", func(t *testing.T, dir string) { put(t, dir+"/vol/volume.json", `{}`) }, "damaged", `that of the volume ""`, "new record, without"},
	{"no record", func(t *testing.T, dir string) { remove(t, dir+"/vol/volume.json") }, "damaged", "it has no record", "new record, without the labels that it may have had"},
	{"no record, no lock", func(t *testing.T, dir string) { remove(t, dir+"/vol/volume.json"); remove(t, dir+"/vol/lock") }, "damaged", "it has no record", "new record"},
	{"a directory without a record", func(t *testing.T, dir string) { put(t, dir+"/other/_data/f", "x") }, "damaged", "it has no record", "new record"},
	{"an empty one", func(t *testing.T, dir string) { put(t, dir+"/other/x", "x") }, "damaged", "it has no record", ""},
	{"a record of another", func(t *testing.T, dir string) {
		put(t, dir+"/vol/volume.json", `{"name":"w","created":"2026-01-02T03:04:05Z","labels":{"a":"b"}}`)
	}, "damaged", `that of the volume "w"`, "its record has its name again; the damaged one is"},
	{"no files", func(t *testing.T, dir string) { remove(t, dir+"/vol/_data") }, "damaged", `/_data", are missing`, ""},
	{"a file in their place", func(t *testing.T, dir string) { remove(t, dir+"/vol/_data"); put(t, dir+"/vol/_data", "x") }, "damaged", `/_data", are missing`, ""},
	{"no record, and no files", func(t *testing.T, dir string) { remove(t, dir+"/vol/volume.json"); remove(t, dir+"/vol/_data") }, "damaged", "it has no record", ""},
	{"never synced", func(t *testing.T, dir string) { put(t, dir+"/"+anonymous+"/volume.json", "\x00\x00") }, "left over", "never synced", ""},
	{"being made", func(t *testing.T, dir string) { put(t, dir+"/.new-x/volume.json", "") }, "left over", "was making", ""},
	{"being removed", func(t *testing.T, dir string) { put(t, dir+"/.gone-x/lock", "") }, "left over", "did not end", ""},
	{"half of one being removed", func(t *testing.T, dir string) { put(t, dir+"/.gone-x/_data/f", "") }, "left over", "did not end", ""},
	{"a file", func(t *testing.T, dir string) { put(t, dir+"/notes", "") }, "unknown", "no volume", ""},
	{"another name", func(t *testing.T, dir string) { put(t, dir+"/a b/volume.json", "{}") }, "unknown", "no volume", ""},
	{"a device that is not there", func(t *testing.T, dir string) {
		put(t, dir+"/vol/volume.json", `{"name":"vol","options":{"type":"none","o":"bind","device":"/nonexistent"}}`)
	}, "unknown", `"/nonexistent", is not there`, ""},
	{"options of another lrun", func(t *testing.T, dir string) {
		put(t, dir+"/vol/volume.json", `{"name":"vol","options":{"type":"nfs"}}`)
	}, "unknown", "type=nfs", ""},
}

func TestFaults(t *testing.T) {
	for _, tt := range damageTests {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := open(t)
			create(t, s, "vol", volume.Options{})
			create(t, s, "sound", volume.Options{})
			put(t, dir+"/vol/_data/f", "x")
			tt.damage(t, dir)
			_, faults, err := s.Faults()
			if err != nil || len(faults) > 1 || (len(faults) == 1) != (tt.what != "") {
				t.Fatalf("got %v, %v", faults, err)
			}
			if len(faults) == 0 {
				return
			}
			f := faults[0]
			what := map[bool]string{true: "damaged", false: "unknown"}[errdefs.IsDataLoss(f.Err)]
			if f.Leftover {
				what = "left over"
			}
			if what != tt.what || !strings.Contains(f.Err.Error(), tt.says) {
				t.Errorf("%s: %v; want %s: %s", what, f.Err, tt.what, tt.says)
			}
			if f.Name == "" {
				return
			}
			before, _ := os.ReadFile(f.Path + "/volume.json")
			did, err := s.Repair(f.Name)
			if (err == nil) != (tt.done != "") || !strings.Contains(did, tt.done) {
				t.Fatalf("repair: %q, %v; want %q", did, err, tt.done)
			}
			_, faults, again := s.Faults()
			if (len(faults) == 0) != (err == nil) || again != nil {
				t.Errorf("after the repair %v, %v", faults, again)
			}
			if err != nil {
				if after, _ := os.ReadFile(f.Path + "/volume.json"); string(after) != string(before) {
					t.Errorf("the record was %q, is %q", before, after)
				}
				return
			}
			v, err := s.Get(f.Name)
			content, readErr := os.ReadFile(s.Path(v) + "/f")
			if v.Name != f.Name || v.Created.IsZero() || err != nil || readErr != nil || string(content) != "x" {
				t.Errorf("got %+v, %v, with %q, %v", v, err, content, readErr)
			}
			if kept, err := os.ReadFile(f.Path + "/volume.json.damaged"); string(kept) != string(before) || err != nil && before != nil {
				t.Errorf("%q was kept, %v; want %q", kept, err, before)
			}
		})
	}
}

// TestFaultsMeanwhile looks while volumes come and go.
func TestFaultsMeanwhile(t *testing.T) {
	s, _ := open(t)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			h, err := s.Create(t.Context(), "vol", volume.Options{})
			if err == nil {
				err = h.Remove(t.Context())
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 200 {
		_, faults, err := s.Faults()
		if err != nil {
			t.Error(err)
		}
		for _, f := range faults {
			if !f.Leftover {
				t.Errorf("%+v", f)
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFaultsOfNothing(t *testing.T) {
	s, dir := open(t)
	if n, faults, err := s.Faults(); n != 0 || faults != nil || err != nil {
		t.Errorf("got %d, %v, %v", n, faults, err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("it was made")
	}
	put(t, dir, "no directory")
	if _, _, err := s.Faults(); err == nil {
		t.Error("no error")
	}
}

// TestRepairOfHeld leaves a volume alone that somebody holds, and one that is sound.
func TestRepairOfHeld(t *testing.T) {
	s, dir := open(t)
	create(t, s, "vol", volume.Options{})
	if did, err := s.Repair("vol"); did != "" || err != nil {
		t.Errorf("sound: %q, %v", did, err)
	}
	h, err := s.Hold("vol")
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/vol/_data/f", "x")
	remove(t, dir+"/vol/volume.json")
	if did, err := s.Repair("vol"); !errors.Is(err, flock.ErrBusy) {
		t.Errorf("held: %q, %v", did, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if did, err := s.Repair("vol"); did == "" || err != nil {
		t.Errorf("free: %q, %v", did, err)
	}
	if did, err := s.Repair("none"); did != "" || err == nil {
		t.Errorf("none: %q, %v", did, err)
	}
}

// TestListBesideOthers lists volumes beside what is none.
func TestListBesideOthers(t *testing.T) {
	s, dir := open(t)
	create(t, s, "vol", volume.Options{})
	put(t, dir+"/notes", "")
	put(t, dir+"/a b/_data/f", "")
	if got := names(t, s); got != "vol" {
		t.Errorf("got %q", got)
	}
	if _, err := s.Hold("notes"); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

// TestRemoveOfUnsynced removes, with the container that it is tied to, a volume that a power loss has cut off, and no other.
func TestRemoveOfUnsynced(t *testing.T) {
	s, dir := open(t)
	sound := strings.Repeat("cd", 32)
	for _, name := range []string{anonymous, sound} {
		create(t, s, name, volume.Options{Container: "c1"})
		put(t, dir+"/"+name+"/_data/f", "x")
	}
	put(t, dir+"/"+anonymous+"/volume.json", "\x00")
	remove(t, dir+"/"+sound+"/volume.json") // no power loss does that
	if err := s.RemoveOf(t.Context(), "c1", nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir + "/" + anonymous); err == nil {
		t.Error("it is still there")
	}
	if _, err := os.Lstat(dir + "/" + sound + "/_data/f"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
