// Package oracle unpacks the layers of the corpus with other programs too, and compares. It is a module of its own, so
// that nobody who builds lrun needs containerd or moby.
package oracle

import (
	"bytes"
	"context"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive"
	containerdlog "github.com/containerd/log"
	moby "github.com/moby/go-archive"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/layertest/corpus"
)

// appliers unpack a layer onto the tree of those below.
var appliers = map[string]func(dir string, layer io.Reader) error{
	"containerd": func(dir string, layer io.Reader) error {
		_, err := archive.Apply(context.Background(), dir, layer)
		return err
	},
	"moby": func(dir string, layer io.Reader) error {
		_, err := moby.ApplyUncompressedLayer(dir, layer, &moby.TarOptions{})
		return err
	},
}

// TestApply unpacks every stack that lrun accepts with containerd and moby. What is not the tree that it is with lrun, which
// rootfs/chain.TestCorpus sees, is in the table of differences, and all that is there is seen.
func TestApply(t *testing.T) {
	testutil.RequireRoot(t)
	t.Setenv("TMPDIR", "/dev/shm")
	limitFiles(t)
	log.SetOutput(io.Discard)
	if err := containerdlog.SetLevel("error"); err != nil {
		t.Fatal(err)
	}
	for tool, apply := range appliers {
		t.Run(tool, func(t *testing.T) {
			top := t.TempDir()
			outside := watched(t, filepath.Join(top, "outside"))
			before := testutil.TreeHash(t, outside)
			var seen []string
			for i, c := range accepted(outside) {
				dir := filepath.Join(top, strconv.Itoa(i))
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var err error
				for _, blob := range c.Layers {
					if err == nil {
						err = apply(dir, bytes.NewReader(corpus.Plain(blob)))
					}
				}
				seen = append(seen, check(t, tool, c, dir, start, err)...)
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			everySeen(t, tool, seen)
			if testutil.TreeHash(t, outside) != before {
				t.Error("it changed what is outside")
			}
		})
	}
}

// limitFiles keeps a program that takes a bomb for a file from filling the disk.
func limitFiles(t *testing.T) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: 64 << 20, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	})
}

func watched(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// accepted are the cases that are no bombs: others may have no limits.
func accepted(outside string) []corpus.Case {
	return slices.DeleteFunc(corpus.Layers(outside), func(c corpus.Case) bool { return c.Refused != nil || c.Long })
}

// check compares what a tool made of a case with the case's verdict and returns the name of the case if they differ.
func check(t *testing.T, tool string, c corpus.Case, dir string, start time.Time, err error) []string {
	t.Helper()
	what := ""
	if err != nil {
		what = "refuses: " + strings.Join(strings.Fields(err.Error()), " ")
	} else {
		got, err := corpus.Describe(dir)
		if err != nil {
			t.Fatal(err)
		}
		what = layertest.Diff(promised(got, c.Tree, start))
	}
	got, want := known(what), explained(t, tool, c.Name)
	if !slices.Equal(got, want) {
		t.Errorf("%s: it is said that it\n\t%s\nbut it\n\t%s", c.Name, strings.Join(want, "\n\t"), strings.Join(got, "\n\t"))
	}
	if len(got) == 0 {
		return nil
	}
	return []string{c.Name}
}

// stamp finds the time in the line of a directory.
var stamp = regexp.MustCompile(`^(.*/(?: .*)?) @(-?\d+)(?:\.\d+)?(.*)$`)

// promised leaves out what the tools do not promise: the root, which is theirs to make, and the time of a directory that
// got its entries last, where it is that of the test.
func promised(got, want []string, start time.Time) ([]string, []string) {
	isRoot := func(line string) bool { return strings.HasPrefix(line, "/ ") || line == "/" }
	got, want = slices.DeleteFunc(got, isRoot), slices.DeleteFunc(slices.Sorted(slices.Values(want)), isRoot)
	late := map[string]bool{}
	for i, line := range got {
		m := stamp.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if sec, err := strconv.ParseInt(m[2], 10, 64); err == nil && sec >= start.Unix()-1 && sec < start.Unix()+600 {
			got[i] = m[1] + m[3]
			late[directory(line)] = true
		}
	}
	for i, line := range want {
		if m := stamp.FindStringSubmatch(line); m != nil && late[directory(line)] {
			want[i] = m[1] + m[3]
		}
	}
	return got, want
}

// directory is the name in the line of a directory, which ends at its slash.
func directory(line string) string {
	name, _, _ := strings.Cut(line+" ", "/ ")
	return name
}
