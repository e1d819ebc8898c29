package prune

import (
	"context"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/volume"
)

func TestUnused(t *testing.T) {
	dir := t.TempDir()
	e := env.With(nil, nil, nil)
	e.UID = func() int { return 0 }
	app := &cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}
	if err := app.Run([]string{"lrun", "--root", dir + "/root", "--state", dir + "/state", "--driver", "vfs"}); err != nil {
		t.Fatal(err)
	}
	claim, err := e.Runtime().Claim(t.Context(), "being made")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := claim.Close(); err != nil {
			t.Error(err)
		}
	}()
	used, unused := digest.FromString("used"), digest.FromString("unused")
	with := func(id, image string, volumes ...string) runtime.Container {
		c := runtime.Container{ID: id, ImageID: image}
		for _, name := range volumes {
			c.Settings.Mounts = append(c.Settings.Mounts, spec.Mount{Type: "volume", Name: name}, spec.Mount{Type: "bind", Name: "bound"})
		}
		return c
	}
	h := Holdings{
		Containers: []runtime.Container{
			with("running", used.String(), "va"), with("exited", used.String(), "vb"), with("created", "built in"),
			with("being made", "built in"), with("unreadable", "built in"),
		},
		States: map[string]runtime.State{
			"running": {Status: runtime.Running}, "exited": {Status: runtime.Exited}, "created": {Status: runtime.Created},
			"being made": {Status: runtime.Created}, "unreadable": {},
		},
		Images:  []image.Record{{Image: used}, {Image: unused}, {Image: unused}},
		Volumes: []volume.Volume{{Name: "va"}, {Name: "vb"}, {Name: "vc"}, {Name: "bound"}},
	}
	images, volumes := h.Users()
	if images[used.String()] != 2 || images[unused.String()] != 0 || volumes["va"] != 1 || volumes["bound"] != 0 {
		t.Errorf("users of images %v, of volumes %v", images, volumes)
	}
	u, err := h.Unused(e)
	if err != nil || u.Index != 0 {
		t.Errorf("index %d, %v", u.Index, err)
	}
	for _, list := range []struct {
		got  []gc.ID
		kind gc.Kind
		want []string
	}{
		{u.Containers, gc.Container, []string{"exited", "created"}},
		{u.Images, gc.Image, []string{unused.String()}},
		{u.Volumes, gc.Volume, []string{"vc", "bound"}},
	} {
		var want []gc.ID
		for _, name := range list.want {
			want = append(want, gc.ID{Kind: list.kind, Name: name})
		}
		if !slices.Equal(list.got, want) {
			t.Errorf("got %v, want %v", list.got, want)
		}
	}
	if h, err := Read(context.Background(), e); err != nil || len(h.Containers)+len(h.Images)+len(h.Volumes) > 0 {
		t.Errorf("an empty root holds %+v, %v", h, err)
	}
}
