package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
)

// v1Archive are the files that Docker 1.9 saved for the images with the tags given.
func v1Archive(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"base/VERSION":   "1.0",
		"base/json":      `{"id":"base","created":"2015-01-02T03:04:05Z","container_config":{"Cmd":["/bin/sh","-c","#(nop) ADD file"]},"architecture":"amd64","os":"linux","Size":7}`,
		"base/layer.tar": string(layerTar(t, "base")),
		"top/VERSION":    "1.0",
		"top/json": `{"id":"top","parent":"base","created":"2015-01-02T03:04:06.5Z","author":"me","comment":"c","container":"abc",` +
			`"container_config":{"Cmd":["/bin/sh","-c","make"],"Memory":12345678901234567890},"config":{"Cmd":["/bin/sh"],"Env":["A=b"]},"architecture":"amd64"}`,
		"top/layer.tar": string(gzipped(t, layerTar(t, "top"))),
		"repositories":  `{"app":{"1":"top","latest":"top"},"localhost:5000/base":{"x":"base"}}`,
	}
}

func TestReadLegacy(t *testing.T) {
	files := v1Archive(t)
	for _, form := range []string{"tar", "directory"} {
		in := newIngest(t)
		var got []image.Candidate
		var err error
		if form == "tar" {
			got, err = readTar(t, in, pack(t, fileList(files)...), Options{})
		} else {
			got, err = readPath(t, in, unpack(t, fileList(files)...), Options{})
		}
		if err != nil || refs(got) != "localhost:5000/base:x app:1,app:latest" {
			t.Fatalf("%s: got %s, %v", form, refs(got), err)
		}
		checkIngest(t, in, got)
		top := got[1].Image
		wantIDs := []digest.Digest{digest.FromBytes(layerTar(t, "base")), digest.FromBytes(layerTar(t, "top"))}
		if fmt.Sprint(top.Config.RootFS.DiffIDs) != fmt.Sprint(wantIDs) || top.Layers[1].Digest != digest.FromString(files["top/layer.tar"]) {
			t.Errorf("%s: layers %+v, %+v", form, top.Config.RootFS, top.Layers)
		}
		if c := top.Config; c.OS != "linux" || c.Architecture != "amd64" || c.Author != "me" || c.Config.Cmd[0] != "/bin/sh" || c.Created.Nanosecond() != 5e8 {
			t.Errorf("%s: config %+v", form, c)
		}
		if h := top.Config.History; len(h) != 2 || h[0].CreatedBy != "/bin/sh -c #(nop) ADD file" || h[1].Author != "me" || h[1].Comment != "c" || h[1].EmptyLayer {
			t.Errorf("%s: history %+v", form, h)
		}
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(top.RawConfig, &raw); err != nil || raw["id"] != nil || raw["parent"] != nil || !strings.Contains(string(raw["container_config"]), "12345678901234567890") {
			t.Errorf("%s: config %s, %v", form, top.RawConfig, err)
		}
	}
}

func TestReadLegacyRefuses(t *testing.T) {
	for _, c := range []struct {
		title string
		edit  func(files map[string]string)
		class error
		says  string
	}{
		{"not JSON", func(m map[string]string) { m["repositories"] = "x" }, errdefs.ErrInvalidArgument, "repositories"},
		{"no image", func(m map[string]string) { m["repositories"] = "{}" }, errdefs.ErrInvalidArgument, "lists no image"},
		{"bad name", func(m map[string]string) { m["repositories"] = `{"A":{"b":"top"}}` }, errdefs.ErrInvalidArgument, `"A:b"`},
		{"no json", func(m map[string]string) { delete(m, "base/json") }, errdefs.ErrDataLoss, "base/json is not in the archive"},
		{"no layer", func(m map[string]string) { delete(m, "base/layer.tar") }, errdefs.ErrDataLoss, "base/layer.tar is not in the archive"},
		{"bad json", func(m map[string]string) { m["top/json"] = "[]" }, errdefs.ErrInvalidArgument, "top/json"},
		{"null", func(m map[string]string) { m["base/json"] = "null" }, errdefs.ErrInvalidArgument, "base/json: it is null"},
		{"its own parent", func(m map[string]string) { m["base/json"] = `{"parent":"top"}` }, errdefs.ErrInvalidArgument, "among its own parents"},
		{"parent outside", func(m map[string]string) { m["top/json"] = `{"parent":"../../etc"}` }, errdefs.ErrInvalidArgument, "out of the archive"},
		{"damaged layer", func(m map[string]string) { m["top/layer.tar"] = m["top/layer.tar"][:40] }, errdefs.ErrDataLoss, "gzip"},
	} {
		t.Run(c.title, func(t *testing.T) {
			files := v1Archive(t)
			c.edit(files)
			got, err := readTar(t, newIngest(t), pack(t, fileList(files)...), Options{})
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v; want %v with %q", got, err, c.class, c.says)
			}
		})
	}
}
