package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/flock"
)

func TestImport(t *testing.T) {
	f := rootFixture(t)
	path := filepath.Join(t.TempDir(), "rootfs.tar")
	must(t, os.WriteFile(path, layerTar(t, "etc/hostname"), 0o644))
	id := strings.TrimSpace(f.succeed(t, "import", "-c", `CMD ["/bin/sh", "-c"]`, "--change", "ENV A=1,2", "-m", "made here", path, "mine:1"))
	if _, err := digest.Parse(id); err != nil {
		t.Fatalf("got %q", id)
	}
	want := `["mine:1"] ["/bin/sh","-c"] ["A=1,2"] made here` + "\n"
	if got := f.succeed(t, "image", "inspect", "-f", "{{json .RepoTags}} {{json .Config.Cmd}} {{json .Config.Env}} {{.Comment}}", id); got != want {
		t.Errorf("got %s", got)
	}
	f.in = string(layerTar(t, "other"))
	other := strings.TrimSpace(f.succeed(t, "import", "-"))
	if other == id {
		t.Error("another tar is the same image")
	}
	if got := f.succeed(t, "history", "--format", "{{.Comment}}", other); got != "Imported from -\n" {
		t.Errorf("got %q", got)
	}
	if got := f.succeed(t, "images", "-q", "--no-trunc", "-f", "dangling=true"); got != other+"\n" {
		t.Errorf("got %q", got)
	}
}

func TestImportRefuses(t *testing.T) {
	f := newFixture(t)
	f.fail(t, 1, "lrun: lrun fetches nothing from https://example.com/a.tar: use curl -fL https://example.com/a.tar | lrun import -", "import", "https://example.com/a.tar")
	f.fail(t, 1, "lrun: open /nonexistent: no such file or directory", "import", "/nonexistent", "a")
	name := "a@" + digest.FromString("x").String()
	f.fail(t, 1, "lrun: a new image gets a name without a digest, not "+name, "import", "-", name)
	if code := f.lrun(t, "import", "-", "BAD NAME"); code != 1 || !strings.Contains(f.err.String(), "BAD NAME") {
		t.Errorf("exit code %d, stderr %s", code, &f.err)
	}
}

func TestRemoveAndTag(t *testing.T) {
	f := rootFixture(t)
	data, ids := dockerArchive(t,
		archived{[]string{"a:1"}, [][]byte{layerTar(t, "a")}}, archived{[]string{"b:1", "b:2"}, [][]byte{layerTar(t, "b")}}, archived{nil, [][]byte{layerTar(t, "c")}})
	f.in = string(data)
	f.succeed(t, "load", "-q")
	f.succeed(t, "tag", "a:1", "x/y:z")

	if got := f.succeed(t, "rmi", "a:1"); got != "Untagged: a:1\n" {
		t.Errorf("got %s", got)
	}
	if code := f.lrun(t, "rmi", "nope", "x/y:z", "nope:2", ids[1].String()); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(f.out.String(), "Untagged: x/y:z\nDeleted: "+ids[0].String()+"\nDeleted: sha256:") {
		t.Errorf("it stopped at an error: %s", &f.out)
	}
	said := strings.SplitN(f.err.String(), "\n", 3)
	if len(said) < 3 || said[0] != "lrun: No such image: nope" || said[1] != "lrun: No such image: nope:2" || !strings.Contains(said[2], ids[1].Encoded()[:12]) {
		t.Errorf("stderr is\n%s", &f.err)
	}
	if got := f.succeed(t, "rmi", "-f", ids[1].String()); !strings.HasPrefix(got, "Untagged: b:1\nUntagged: b:2\nDeleted: "+ids[1].String()+"\n") {
		t.Errorf("got %s", got)
	}
	if code := f.lrun(t, "rmi", "--force", "nope"); code != 0 || f.err.String() != "lrun: No such image: nope\n" {
		t.Errorf("exit code %d, stderr %s", code, &f.err)
	}
	f.fail(t, 1, "lrun: No such image: nope", "tag", "nope", "b")

	f.containers = users{ids[2]: true}
	if code := f.lrun(t, "rmi", "-f", ids[2].String()); code != 1 || !strings.Contains(f.err.String(), "web") {
		t.Errorf("a running container uses it: exit code %d, stderr %s", code, &f.err)
	}
	f.containers = users{ids[2]: false}
	if code := f.lrun(t, "rmi", ids[2].String()); code != 1 || !strings.Contains(f.err.String(), "web") {
		t.Errorf("a container uses it: exit code %d, stderr %s", code, &f.err)
	}
	f.containers = nil
	f.succeed(t, "rmi", ids[2].String())
	if got := f.succeed(t, "images", "-q"); got != "" {
		t.Errorf("left: %s", got)
	}
	layers, err := filepath.Glob(filepath.Join(f.root, "snapshots", "*", "data", "*"))
	if err != nil || len(layers) > 0 {
		t.Errorf("left: %q, %v", layers, err)
	}
}

// lockedUse says who uses images only to who has locked the root.
type lockedUse struct {
	users

	t    *testing.T
	root string
}

func (l lockedUse) ImageUse(ctx context.Context) (func(digest.Digest) (string, bool), error) {
	if lock, err := flock.TryExclusive(filepath.Join(l.root, "lock")); !errors.Is(err, flock.ErrBusy) {
		l.t.Errorf("a container may be made after the answer: the root is not locked: %v", errors.Join(err, lock.Unlock()))
	}
	return l.users.ImageUse(ctx)
}

// TestRemoveAsksWithTheRootLocked for each image anew: a container may have been made since the last.
func TestRemoveAsksWithTheRootLocked(t *testing.T) {
	f := rootFixture(t)
	data, ids := dockerArchive(t, archived{[]string{"a:1"}, [][]byte{layerTar(t, "a")}}, archived{[]string{"b:1"}, [][]byte{layerTar(t, "b")}})
	f.in = string(data)
	f.succeed(t, "load", "-q")
	f.containers = lockedUse{users{ids[1]: true}, t, f.root}
	if code := f.lrun(t, "rmi", "a:1", "b:1"); code != 1 || !strings.Contains(f.err.String(), "container web") || !strings.Contains(f.out.String(), "Untagged: a:1") {
		t.Errorf("exit code %d, stdout %s, stderr %s", code, &f.out, &f.err)
	}
}
