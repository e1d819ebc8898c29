package usage

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime"
)

// df calls the command on dir/root.
func df(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	e := env.With(strings.NewReader(""), &out, &errs)
	e.UID = func() int { return 0 }
	app := &command.App{Name: "lrun", Env: e, Groups: []command.Group{{Name: "system", Entries: []command.Entry{{Sub: []string{"df"}, New: Command}}}}}
	all := append([]string{"lrun", "--root", dir + "/root", "--state", dir + "/state", "--driver", "vfs", "system", "df"}, args...)
	code = app.Main(t.Context(), all)
	return code, out.String(), errs.String()
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEmpty(t *testing.T) {
	code, out, stderr := df(t, t.TempDir())
	want := "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n" +
		"Images          0         0         4.096kB   0B (0%)\n" +
		"Containers      0         0         0B        0B\n" +
		"Local Volumes   0         0         0B        0B\n" +
		"Build Cache     0         0         0B        0B\n"
	if code != 0 || stderr != "" || out != want {
		t.Errorf("exit code %d, got\n%s%s", code, out, stderr)
	}
}

// TestEveryByteOfADamagedRoot fills a root with what no command leaves, one thing after the other. Whatever cannot be read, the rows
// are what du says, and a message says what is wrong.
func TestEveryByteOfADamagedRoot(t *testing.T) {
	hex := func(c string) string { return strings.Repeat(c, 64) }
	steps := []struct{ name, path, part, complains string }{
		{"nothing", "", "", ""},
		{"a file", "notes", "not lrun's", ""},
		{"a directory", "a/b/c", "not lrun's", ""},
		{"another driver", "snapshots/zfs/data/1/fs/x", "not lrun's", ""},
		{"no digest", "images/blobs/sha256/short", "not lrun's", ""},
		{"a blob of nobody", "images/blobs/sha256/" + hex("a"), "orphans", ""},
		{"an index that was never finished", "images/.tmp-1", "orphans", ""},
		{"an ingest", "ingest/1/sha256-" + hex("b"), "orphans", ""},
		{"bytes without a record", "snapshots/vfs/data/0123456789abcdef/fs/f", "orphans", ""},
		{"bytes being deleted", "snapshots/vfs/staging/1123456789abcdef/fs/f", "orphans", ""},
		{"a claim", "snapshots/vfs/staging/2123456789abcdef.json", "orphans", ""},
		{"a probe", "snapshots/.overlay-probe-1/lower/f", "staging", ""},
		{"a session", "unpack/session-1", "staging", ""},
		{"a container without a record", "containers/" + hex("c") + "/hosts", "orphans", ""},
		{"a name of nobody", "names/nobody", "records and directories", ""},
		{"a range of ids", "userns/1", "records and directories", ""},
		{"a volume", "volumes/some/_data/f", "files", ""},
		{"a volume on its way out", "volumes/.gone-1/_data/f", "orphans", ""},
		{"a tie", "volumes/.of-" + hex("c") + "-some", "records and directories", ""},
		{"a record without bytes", "snapshots/vfs/records/none.json", "records and directories", "none.json"},
		{"a container's record", "containers/" + hex("d") + "/config.json", "records", "config.json"},
	}
	dir := t.TempDir()
	var before everything
	for i, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			if step.path != "" {
				write(t, filepath.Join(dir, "root", step.path), strings.Repeat("{", 20_000))
			} else if code, _, stderr := df(t, dir); code != 0 {
				t.Fatal(stderr)
			}
			_, out, stderr := df(t, dir, "-v", "--format", "json")
			var now everything
			if err := json.Unmarshal([]byte(out), &now); err != nil {
				t.Fatalf("%v: %q, %s", err, out, stderr)
			}
			if !strings.Contains(stderr, step.complains) || step.complains != "" && stderr == "" {
				t.Errorf("stderr %q, want %q", stderr, step.complains)
			}
			if used := testutil.DiskUsage(t, filepath.Join(dir, "root")); now.Total != used || sum(now) != used {
				t.Errorf("the rows make %d, the total is %d, du says %d: %v", sum(now), now.Total, used, now.Bytes)
			}
			if grown := bytesOf(now, step.part) - bytesOf(before, step.part); i > 0 && grown < 20_480 {
				t.Errorf("%q has %d bytes more: %v", step.part, grown, now.Bytes)
			}
			before = now
		})
	}
}

func sum(all everything) (n int64) {
	for _, r := range all.Bytes {
		n += r.Bytes
	}
	return n
}

func bytesOf(all everything, part string) int64 {
	for _, r := range all.Bytes {
		if r.Part == part {
			return r.Bytes
		}
	}
	return 0
}

// TestRootBehindALink is about a root whose path is a link to where it is.
func TestRootBehindALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/elsewhere", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", dir+"/root"); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := df(t, dir, "-v", "--format", "{{.Total}}")
	if want := strconv.FormatInt(testutil.DiskUsage(t, dir+"/elsewhere"), 10) + "\n"; code != 0 || out != want {
		t.Errorf("exit code %d, got %q, want %q, %s", code, out, want, stderr)
	}
}

func TestVerboseTable(t *testing.T) {
	dir := t.TempDir()
	code, out, stderr := df(t, dir, "-v")
	for _, want := range []string{
		"Images space usage:\n\nREPOSITORY   TAG       IMAGE ID   CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS\n",
		"\n\nContainers space usage:\n\nCONTAINER ID   IMAGE     COMMAND   LOCAL VOLUMES   SIZE      CREATED   STATUS    NAMES\n",
		"\n\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\n",
		"\n\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n",
		"\n\nEvery byte of " + dir + "/root:\n\nTYPE            PART                       SIZE      BYTES\n",
		"\nOther           not lrun's                 0B        0\n",
	} {
		if !strings.Contains(strings.ReplaceAll(out, "\n\n\n", "\n\n"), strings.TrimPrefix(want, "\n")) {
			t.Errorf("got\n%s\nwithout %q", out, want)
		}
	}
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestRefused(t *testing.T) {
	for _, args := range [][]string{{"--format", "{{.Nope}}"}, {"--format", "{{"}, {"-v", "--format", "table {{.Images}}"}, {"-v", "--format", "{{.Nope}}"}, {"image"}} {
		if code, out, stderr := df(t, t.TempDir(), args...); code == 0 || out != "" || stderr == "" {
			t.Errorf("%q: exit code %d, got %q, %q", args, code, out, stderr)
		}
	}
}

// sample is a graph of two images with a layer in common, a container of one of them, what a killed one left, and a volume. dir has a
// file of 4096 bytes for each node that has bytes.
func sample(t *testing.T, dir string) *inventory {
	t.Helper()
	running, stopped, gone := strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("3", 64)
	g := &gc.Graph{}
	add := func(kind gc.Kind, name string, kept bool, needs ...gc.ID) gc.ID {
		n := gc.Node{ID: gc.ID{Kind: kind, Name: name}, Kept: kept, Needs: needs}
		if kind != gc.Key && kind != gc.Image {
			n.Paths = []string{filepath.Join(dir, "root", strings.ReplaceAll(string(kind)+"-"+name, "/", "-"))}
			write(t, n.Paths[0], "x")
		}
		g.Add(n)
		return n.ID
	}
	layer := func(name string, below ...gc.ID) gc.ID {
		return add(gc.Snapshot, "vfs/"+name, false, append(below, add(gc.Data, "vfs/data of "+name, false))...)
	}
	key := func(name string, below ...gc.ID) gc.ID { return add(gc.Key, name, false, layer(name, below...)) }
	base := layer("base")
	top, other := key("top", base), key("other", base)
	add(gc.Image, "one", true, top, add(gc.Key, "base", false, base), add(gc.Blob, "b1", false))
	add(gc.Image, "two", true, other, add(gc.Blob, "b2", false))
	add(gc.Volume, "v", true)
	add(gc.Container, running, true, key(running, gc.ID{Kind: gc.Snapshot, Name: "vfs/top"}), gc.ID{Kind: gc.Volume, Name: "v"})
	add(gc.Container, stopped, true, key(stopped, gc.ID{Kind: gc.Snapshot, Name: "vfs/top"}))
	key(gone, gc.ID{Kind: gc.Snapshot, Name: "vfs/top"})
	add(gc.Snapshot, "vfs/built in", true, add(gc.Data, "vfs/built in", false))
	add(gc.Snapshot, "vfs/unpack-s-1", true, add(gc.Data, "vfs/unpacking", false))
	add(gc.Staging, "being deleted", true)
	v := &inventory{graph: g, nodes: g.Nodes(), containers: map[gc.ID]bool{}, env: rooted(t, dir)}
	v.unused = prune.Unused{Images: []gc.ID{{Kind: gc.Image, Name: "two"}}, Containers: []gc.ID{{Kind: gc.Container, Name: stopped}}, Index: 100}
	v.States = map[string]runtime.State{running: {Status: runtime.Running}, stopped: {Status: runtime.Exited}}
	v.Containers = []runtime.Container{{ID: running}, {ID: stopped}}
	v.findContainers()
	return v
}

func rooted(t *testing.T, dir string) *env.Env {
	t.Helper()
	e := env.With(nil, nil, nil)
	if err := (&cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}).Run([]string{"lrun", "--root", dir + "/root"}); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParts(t *testing.T) {
	v := sample(t, t.TempDir())
	_, users := v.layers()
	m, err := v.measure(t.Context(), users)
	if err != nil {
		t.Fatal(err)
	}
	want := [parts]int64{uniqueLayers: 4, sharedLayers: 2, otherLayers: 2, blobs: 2, writable: 2, containerFiles: 4, volumeFiles: 1, staging: 3, orphans: 2, records: 1}
	for p, r := range m.rows {
		if r.Bytes != want[p]*4096 {
			t.Errorf("%s, %s: %d bytes, want %d", r.Type, r.Part, r.Bytes, want[p]*4096)
		}
	}
}

func TestAmounts(t *testing.T) {
	v := sample(t, t.TempDir())
	for i, n := range v.nodes {
		if n.Name == "vfs/data of base" {
			v.nodes[i].Disk = 1 << 20 // what was written down counts
		}
	}
	amounts, err := v.amounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[kind]amount{
		images:     {12*4096 + 1<<20, 3*4096 + 100}, // reclaimable: a blob, a record and the bytes of image two's own layer
		containers: {8 * 4096, 5 * 4096},            // of the stopped one, and of the one that is gone
		volumes:    {4096, 0},
	} {
		if amounts[k] != want {
			t.Errorf("%s: got %+v, want %+v", k, amounts[k], want)
		}
	}
	rows, err := v.summary(t.Context())
	if err != nil || rows[1] != (row{Active: "1", Reclaimable: "20.48kB (62%)", Size: "32.77kB", TotalCount: "2", Type: "Containers"}) {
		t.Errorf("got %+v, %v", rows, err)
	}
}
