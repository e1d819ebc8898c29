package image

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/save"
	"github.com/lrun-dev/lrun/layer/split"
)

// meanwhile are blobs; before one is opened, the first after skip others, something else is done.
type meanwhile struct {
	save.Blobs

	do   func()
	skip int
	tar  error // unless it is nil, of each tar
}

func (m *meanwhile) Blob(d digest.Digest) (*os.File, error) {
	if m.skip--; m.skip == -1 {
		m.do()
	}
	return m.Blobs.Blob(d)
}

func (m *meanwhile) Tar(ctx context.Context, im image.Image, layer int) (split.Source, error) {
	if m.tar != nil {
		return split.Source{}, m.tar
	}
	return m.Blobs.Tar(ctx, im, layer)
}

// env returns surroundings with the fixture's root.
func (f *fixture) env(t *testing.T) *env.Env {
	t.Helper()
	var out bytes.Buffer
	e := env.With(strings.NewReader(""), &out, &out)
	e.UID = func() int { return 0 }
	app := &cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}
	must(t, app.Run([]string{"lrun", "--root", f.root, "--state", f.state, "--driver", f.driver}))
	return e
}

// TestSaveMeanwhile has something done to the image a:1 between the look at it and that at its blobs.
func TestSaveMeanwhile(t *testing.T) {
	lost := func(t *testing.T, f *fixture, im image.Image) {
		t.Helper()
		blobs, err := f.env(t).Blobs()
		must(t, err)
		must(t, blobs.Remove(im.Layers[0].Digest))
	}
	for _, c := range []struct {
		title string
		do    func(t *testing.T, f *fixture, im image.Image)
		skip  int
		tar   error
		says  string // "": it is written
		is    func(error) bool
	}{
		{title: "nothing", do: func(*testing.T, *fixture, image.Image) {}},
		{title: "removed", do: func(t *testing.T, f *fixture, _ image.Image) { f.succeed(t, "rmi", "a:1") }, says: "No such image: a:1", is: errdefs.IsNotFound},
		{
			title: "removed after the config, with dropped blobs", skip: 1, tar: errdefs.ErrDataLoss, says: "No such image: a:1", is: errdefs.IsNotFound,
			do: func(t *testing.T, f *fixture, _ image.Image) { f.succeed(t, "rmi", "a:1") },
		},
		{title: "another", do: func(t *testing.T, f *fixture, _ image.Image) {
			f.succeed(t, "rmi", "a:1")
			f.put(t, testImage{refs: []string{"a:1"}, layers: 2})
		}},
		{title: "lost", do: lost, says: "load or pull the image again", is: errdefs.IsDataLoss},
	} {
		t.Run(c.title, func(t *testing.T) {
			f := newFixture(t)
			f.put(t, testImage{refs: []string{"a:1"}, layers: 1})
			e := f.env(t)
			store, err := e.Rootfs()
			must(t, err)
			find := func() ([]save.Entry, error) { return toSave(t.Context(), e, "", []string{"a:1"}) }
			entries, err := find()
			must(t, err)
			var out bytes.Buffer
			blobs := &meanwhile{store.Dropped(), func() { c.do(t, f, entries[0].Image) }, c.skip, c.tar}
			err = save.WriteFound(t.Context(), &out, blobs, entries, find, save.Options{})
			if c.says == "" {
				now, findErr := find()
				must(t, findErr)
				if err != nil || !strings.Contains(out.String(), now[0].Image.ID.Encoded()) {
					t.Errorf("%d bytes, %v", out.Len(), err)
				}
				return
			}
			if err == nil || !c.is(err) || !strings.Contains(err.Error(), c.says) || out.Len() > 0 {
				t.Errorf("%d bytes, %v; want %q", out.Len(), err, c.says)
			}
		})
	}
}

// TestSaveOfAnImageThatBecomesAnother after the first byte cannot begin again.
func TestSaveOfAnImageThatBecomesAnother(t *testing.T) {
	f := newFixture(t)
	f.put(t, testImage{refs: []string{"a:1"}, layers: 1})
	e := f.env(t)
	store, err := e.Rootfs()
	must(t, err)
	find := func() ([]save.Entry, error) { return toSave(t.Context(), e, "", []string{"a:1"}) }
	entries, err := find()
	must(t, err)
	path := f.root + "/images/blobs/sha256/" + entries[0].Image.Layers[0].Digest.Encoded()
	for _, c := range []struct {
		another bool
		says    string
	}{{false, "damaged"}, {true, "became another"}} {
		must(t, os.WriteFile(path, []byte("other bytes"), 0o600))
		blobs := &meanwhile{Blobs: store.Dropped(), do: func() {
			if c.another {
				f.put(t, testImage{refs: []string{"a:1"}})
			}
		}}
		var out bytes.Buffer
		if err := save.WriteFound(t.Context(), &out, blobs, entries, find, save.Options{}); err == nil || !strings.Contains(err.Error(), c.says) || out.Len() == 0 {
			t.Errorf("%d bytes, %v; want %q", out.Len(), err, c.says)
		}
	}
}
