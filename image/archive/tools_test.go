package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/save"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest/corpus/archives"
	"github.com/lrun-dev/lrun/layer/split"
)

// TestOtherTools gives every archive of the corpus to skopeo, which copies it, and to umoci, which unpacks it. Where one of them does
// not decide as lrun does, there is a row with what it says and why, and every row is seen. What skopeo copies lrun reads, what
// lrun saves skopeo copies, and all of it is the same image.
func TestOtherTools(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.InMemory(t) // both sync every file
	var seen []decision
	for _, c := range archives.All(image.HostPlatform()) {
		if c.Large {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			x := toolTest{t, c, t.TempDir()}
			seen = append(seen, x.skopeo()...)
			if !c.Docker {
				seen = append(seen, x.umoci()...)
			}
		})
	}
	for _, d := range decisions {
		if !slices.Contains(seen, d) {
			t.Errorf("%s, %s: it is said that %s, which is not seen", d.tool, d.archive, d.why)
		}
	}
}

// toolTest is about one archive.
type toolTest struct {
	*testing.T

	c   archives.Image
	dir string
}

func (x toolTest) path(name string) string { return filepath.Join(x.dir, name) }

// skopeo copies the archive to a layout, and back what lrun makes of it.
func (x toolTest) skopeo() []decision {
	source, copied := "docker-archive:"+x.path("source"), x.path("copied")
	if x.c.Docker {
		x.write("source", x.c.Archive)
	} else {
		source = "oci:" + x.unpacked()
	}
	lrun := x.c.Refused // a copy of a layout compares no DiffID
	if x.c.Docker {
		lrun = cmp.Or(lrun, x.c.Unpacked)
	}
	err := skopeoCopy(source, copied, x.keep()...)
	seen := x.decided("skopeo", err, lrun)
	if lrun != nil {
		return seen
	}
	in := newIngest(x)
	got, readErr := readTar(x, in, x.c.Archive, Options{})
	if readErr != nil {
		x.Fatal(readErr)
	}
	want := got[0].Image
	if err == nil {
		again, err := readPath(x, newIngest(x), copied, Options{})
		if err != nil || len(again) != 1 || again[0].Image.ID != want.ID || !x.c.Docker && again[0].Image.Manifest.Digest != want.Manifest.Digest {
			x.Errorf("of what skopeo copied came %+v, %v", again, err)
		}
	}
	var saved bytes.Buffer
	if err := save.Write(x.Context(), &saved, saver{in}, []save.Entry{{Image: want}}, save.Options{}); err != nil {
		x.Fatal(err)
	}
	x.write("saved", saved.Bytes())
	if x.c.Unpacked != nil {
		return seen // lrun has not stored what it would save
	}
	for _, transport := range []string{"oci-archive", "docker-archive"} {
		to := x.path("of-" + transport)
		if err := skopeoCopy(transport+":"+x.path("saved"), to, keepLayers); err != nil {
			x.Errorf("of what lrun saved: %v", err)
			continue
		}
		again, err := readPath(x, newIngest(x), to, Options{})
		// Of a docker-archive skopeo writes the config anew.
		if err != nil || len(again) != 1 || transport == "oci-archive" && again[0].Image.ID != want.ID ||
			!slices.Equal(again[0].Image.Config.RootFS.DiffIDs, want.Config.RootFS.DiffIDs) {
			x.Errorf("of what lrun saved and skopeo copied came %+v, %v", again, err)
		}
	}
	return seen
}

// umoci unpacks the layout.
func (x toolTest) umoci() []decision {
	err := runTool("umoci", "raw", "unpack", "--image", x.unpacked()+":"+archives.Tag, x.path("rootfs"))
	return x.decided("umoci", err, cmp.Or(x.c.Refused, x.c.Unpacked))
}

// decided compares what a tool decided with what lrun does, and returns the row of the difference, if there is one.
func (x toolTest) decided(tool string, err, lrun error) []decision {
	x.Helper()
	i := slices.IndexFunc(decisions, func(d decision) bool { return d.tool == tool && d.archive == x.c.Name })
	switch {
	case (err == nil) == (lrun == nil) && i < 0:
		return nil
	case (err == nil) == (lrun == nil):
		x.Errorf("%s: %v, and there is a row for it", tool, err)
		return nil
	case i < 0 || (err == nil) != (decisions[i].says == "") || err != nil && !strings.Contains(err.Error(), decisions[i].says):
		x.Errorf("%s decides otherwise than lrun (%v), and there is no such row: %.1000v", tool, lrun, err)
		return nil
	}
	return decisions[i : i+1]
}

func (x toolTest) write(name string, content []byte) {
	x.Helper()
	if err := os.WriteFile(x.path(name), content, 0o644); err != nil {
		x.Fatal(err)
	}
}

// unpacked writes the files of the archive to a directory.
func (x toolTest) unpacked() string {
	x.Helper()
	dir := x.path("layout")
	for r := tar.NewReader(bytes.NewReader(x.c.Archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(r)
		}
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, filepath.Dir(h.Name)), 0o755)
		}
		if err == nil {
			x.write(filepath.Join("layout", h.Name), content)
		} else {
			x.Fatal(err)
		}
	}
}

// keepLayers keeps skopeo from compressing layers.
const keepLayers = "--dest-oci-accept-uncompressed-layers"

// keep is for a copy of the archive: with that, skopeo takes the size of a link for that of a docker-archive's layer.
func (x toolTest) keep() []string {
	if x.c.Docker {
		return nil
	}
	return []string{keepLayers}
}

// skopeoCopy copies an image to a new layout.
func skopeoCopy(from, to string, options ...string) error {
	return runTool("skopeo", slices.Concat([]string{"--insecure-policy", "copy", "--quiet"}, options, []string{from, "oci:" + to})...)
}

func runTool(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return err
}

// saver saves what is in an ingest.
type saver struct{ in *blob.Ingest }

// Blob implements save.Blobs.
func (s saver) Blob(d digest.Digest) (*os.File, error) { return s.in.Open(d) }

// Tar implements save.Blobs.
func (s saver) Tar(context.Context, image.Image, int) (split.Source, error) {
	return split.Source{}, errdefs.ErrNotFound
}
