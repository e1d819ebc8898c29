package layout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

func TestMake(t *testing.T) {
	const all = "data records staging"
	for name, c := range map[string]struct{ before, after string }{
		"nothing is there":            {"", all},
		"all is there":                {"records data/0123456789abcdef staging", all},
		"killed after the first":      {"records", all},
		"killed after the second":     {"records data", all},
		"bytes removed by hand":       {"records staging", all},
		"all but staging removed":     {"staging/0123456789abcdef", all},
		"no records and no bytes":     {"data staging", all},
		"no records, but bytes":       {"data/0123456789abcdef staging", ""},
		"no records, but what is odd": {"data/x staging", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "vfs")
			for sub := range strings.FieldsSeq(c.before) {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			err := Make(dir, atomicfile.Volatile)
			if c.after == "" {
				checkLost(t, dir, err)
				return
			}
			if got := names(t, dir); err != nil || got != c.after {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// checkLost fails unless err says what is missing and what to do, and nothing was made.
func checkLost(t *testing.T, dir string, err error) {
	t.Helper()
	var lost *Lost
	if !errors.As(err, &lost) || !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Fatalf("got %v", err)
	}
	for _, words := range []string{dir + `/records": the directory is missing`, "backup", `remove "` + dir + `/data" by hand`, "lrun fsck"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%v does not say %q", err, words)
		}
	}
	if got := names(t, dir); got != "data staging" {
		t.Errorf("there is %q", got)
	}
	if err := os.Mkdir(lost.Records, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Make(dir, atomicfile.Volatile); err != nil {
		t.Errorf("with the records: %v", err)
	}
}

// What cannot be looked at is neither new nor lost.
func TestMakeOfWhatIsNoDirectory(t *testing.T) {
	for _, name := range []string{"records", "data", "staging"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := Make(dir, atomicfile.Volatile); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}
