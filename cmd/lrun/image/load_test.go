package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/internal/testutil"
)

// rootFixture is a fixture with the best driver; it needs root.
func rootFixture(t *testing.T) *fixture {
	t.Helper()
	testutil.RequireRoot(t)
	f := newFixture(t)
	f.driver = "overlayfs"
	return f
}

// layerTar is a layer with files named name and their content.
func layerTar(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range files {
		must(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(name)), ModTime: now()}))
		_, err := w.Write([]byte(name))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// archived is an image to be put into an archive.
type archived struct {
	refs   []string
	layers [][]byte
}

// dockerArchive is the archive that `docker save` would write, and the IDs of its images.
func dockerArchive(t *testing.T, images ...archived) (data []byte, ids []digest.Digest) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	seen := map[string]bool{}
	file := func(name string, data []byte) string {
		if !seen[name] {
			must(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data))}))
			_, err := w.Write(data)
			must(t, err)
		}
		seen[name] = true
		return name
	}
	var manifest []map[string]any
	for _, im := range images {
		var names []string
		var diffIDs []digest.Digest
		for _, l := range im.layers {
			d := digest.FromBytes(l)
			diffIDs = append(diffIDs, d)
			names = append(names, file(d.Encoded()+"/layer.tar", l))
		}
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux", "created": now(), "config": map[string]any{},
			"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
		})
		must(t, err)
		id := digest.FromBytes(config)
		ids = append(ids, id)
		manifest = append(manifest, map[string]any{"Config": file(id.Encoded()+".json", config), "RepoTags": im.refs, "Layers": names})
	}
	list, err := json.Marshal(manifest)
	must(t, err)
	file("manifest.json", list)
	must(t, w.Close())
	return b.Bytes(), ids
}

func TestLoad(t *testing.T) {
	f := rootFixture(t)
	base, top := layerTar(t, "base"), layerTar(t, "top")
	data, ids := dockerArchive(t, archived{[]string{"busybox:latest", "busybox:1"}, [][]byte{base}}, archived{nil, [][]byte{base, top}})
	path := filepath.Join(t.TempDir(), "a.tar")
	must(t, os.WriteFile(path, data, 0o644))

	if code := f.lrun(t, "load", "-i", path); code != 0 {
		t.Fatalf("exit code %d, stderr %s", code, &f.err)
	}
	for _, want := range []string{"Loaded image: busybox:latest\n", "Loaded image: busybox:1\n", "Loaded image ID: " + ids[1].String() + "\n"} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("got %swithout %s", &f.out, want)
		}
	}
	if n := strings.Count(f.out.String(), "\n"); n != 3 {
		t.Errorf("got %d lines", n)
	}
	short := digest.FromBytes(base).Encoded()[:12]
	if !regexp.MustCompile(`(?m)^` + short + `: (Unpacked|Already exists|Shared)$`).MatchString(f.err.String()) {
		t.Errorf("progress is\n%s", &f.err)
	}
	if f.lrun(t, "load", "--input", path); !strings.Contains(f.err.String(), short+": Already exists\n") || strings.Contains(f.err.String(), "Unpack") {
		t.Errorf("the second time progress is\n%s", &f.err)
	}
	f.in = string(data)
	if out := f.succeed(t, "image", "load", "-q"); !strings.Contains(out, "Loaded image: busybox:1\n") {
		t.Errorf("from standard input: got %s", out)
	}
	if out := f.succeed(t, "images", "--format", "{{.Repository}}:{{.Tag}}"); strings.Count(out, "\n") != 3 {
		t.Errorf("got %s", out)
	}
	if out := f.succeed(t, "history", "--format", "{{.Size}}", ids[1].String()); strings.Contains(out, "N/A") {
		t.Errorf("sizes of layers are %q", out)
	}
	out := f.succeed(t, "image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", ids[1].Encoded()[:9])
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(out), "top")); err != nil {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	f := rootFixture(t)
	if code := f.lrun(t, "load", "-i", "/nonexistent"); code != 1 || !strings.Contains(f.err.String(), "/nonexistent") {
		t.Errorf("exit code %d, stderr %s", code, &f.err)
	}
	if code := f.lrun(t, "load", "--platform", "a/b/c/d"); code != 1 || f.err.Len() == 0 {
		t.Errorf("exit code %d, stderr %s", code, &f.err)
	}
	f.in = "this is no archive"
	if code := f.lrun(t, "load"); code != 1 || f.out.Len() > 0 || strings.Count(f.err.String(), "\n") != 1 {
		t.Errorf("exit code %d, stdout %s, stderr %s", code, &f.out, &f.err)
	}
	if out := f.succeed(t, "images", "-q"); out != "" {
		t.Errorf("something is left: %s", out)
	}
}

func TestNothingIsReadFromATerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		testutil.Missing(t, err)
	}
	defer terminal.Close()
	tests := map[string][]string{
		"give the archive with -i FILE or redirect standard input": {"load"},
		"redirect it from the tar, or name the tar":                {"import", "-"},
	}
	for advice, args := range tests {
		var stderr bytes.Buffer
		e := env.With(terminal, &stderr, &stderr)
		e.UID = func() int { return 0 }
		app := &command.App{Name: "lrun", Env: e, Groups: []command.Group{Group()}}
		code := app.Main(t.Context(), append([]string{"lrun", "--root", t.TempDir() + "/root", "--driver=vfs"}, args...))
		if want := fmt.Sprintf("lrun: standard input is a terminal: %s\n", advice); code != 1 || stderr.String() != want {
			t.Errorf("lrun %q: exit code %d, %s", args, code, &stderr)
		}
	}
}
