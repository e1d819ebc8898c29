package check_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/volume"
)

func nothing(context.Context) error { return nil }

// rewrite changes the bytes of a file and keeps all else.
func rewrite(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	b, err := os.ReadFile(path)
	must(t, err)
	b = change(b)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	_, err = f.Write(b)
	must(t, errors.Join(err, f.Close()))
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
}

func flip(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

func half(b []byte) []byte { return b[:len(b)/2] }

func empty([]byte) []byte { return nil }

func TestSound(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		for _, deep := range []bool{false, true} {
			lines, sum := s.check(t, check.Options{Deep: deep})
			if len(lines) > 0 || sum.Damaged > 0 {
				t.Errorf("deep %v: %q", deep, lines)
			}
			if sum.Images != 1 || sum.Blobs != 4 || sum.Layers != 3 || sum.Files < 20 {
				t.Errorf("deep %v: checked %+v", deep, sum)
			}
		}
	})
}

func TestDamage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, s *store)
		want   string
		deep   bool // seen with Deep only
	}{
		{"a byte", func(t *testing.T, s *store) { rewrite(t, s.file(t, 0, "bin/sh"), flip) }, "/bin/ash: content is sha256:", true},
		{"a size", func(t *testing.T, s *store) { rewrite(t, s.file(t, 2, "top"), half) }, "damaged layer app:1 /top: size is 3, was 7", false},
		{"a mode", func(t *testing.T, s *store) { must(t, os.Chmod(s.file(t, 1, "tmp/y"), 0o600)) }, "damaged layer app:1 /tmp/y: mode is 0600, was 0644", false},
		{"setuid", func(t *testing.T, s *store) { must(t, unix.Chmod(s.file(t, 0, "bin/sh"), 0o755)) }, "/bin/ash: mode is 0755, was 4755", false},
		{"an owner", func(t *testing.T, s *store) { must(t, os.Lchown(s.file(t, 0, "etc/conf"), 6, 70000)) }, "/etc/conf: owner is 6:70000, was 5:70000", false},
		{"a time", func(t *testing.T, s *store) {
			must(t, os.Chtimes(s.file(t, 0, "etc/conf"), time.Time{}, time.Unix(5, 0)))
		}, "/etc/conf: mtime is 1970-01-01T00:00:05Z, was ", false},
		{"an xattr", func(t *testing.T, s *store) {
			must(t, unix.Setxattr(s.file(t, 0, "home/x"), "user.note", []byte("other"), 0))
		}, "/home/x: xattr user.note has another value", false},
		{"an xattr less", func(t *testing.T, s *store) { must(t, unix.Removexattr(s.file(t, 0, "home/x"), "user.note")) }, "xattr user.note is missing", false},
		{"an xattr more", func(t *testing.T, s *store) {
			must(t, unix.Setxattr(s.file(t, 0, "home/x"), "user.more", nil, 0))
		}, "xattr user.more was not there", false},
		{"a file less", func(t *testing.T, s *store) { must(t, os.Remove(s.file(t, 0, "etc/conf"))) }, "damaged layer app:1 /etc/conf: it is missing", false},
		{"a file more", func(t *testing.T, s *store) {
			must(t, os.WriteFile(s.file(t, 1, "tmp/more"), nil, 0o600))
		}, "damaged layer app:1 /tmp/more: it was not in the layer", false},
		{"a directory less", func(t *testing.T, s *store) { must(t, os.RemoveAll(s.file(t, 0, "bin"))) }, "damaged layer app:1 /bin: it is missing", false},
		{"a target", func(t *testing.T, s *store) {
			path := s.file(t, 0, "lib")
			must(t, errors.Join(os.Remove(path), os.Symlink("bin", path)))
		}, `target is "bin", was "etc"`, false},
		{"a type", func(t *testing.T, s *store) {
			path := s.file(t, 0, "etc")
			must(t, errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)))
		}, "/etc: type is file, was directory", false},
		{"a device", func(t *testing.T, s *store) {
			path := s.file(t, 0, "null")
			must(t, errors.Join(os.Remove(path), unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))))
		}, "device is 1:5, was 1:3", false},
		{"the files", func(t *testing.T, s *store) { must(t, os.RemoveAll(filepath.Join(s.data(t, 1), "fs"))) }, "damaged layer app:1 /: it is missing", false},
		{"a manifest cut off", func(t *testing.T, s *store) {
			rewrite(t, filepath.Join(s.data(t, 1), "manifest"), half)
		}, "cut off", false},
		{"a byte of a manifest", func(t *testing.T, s *store) { rewrite(t, filepath.Join(s.data(t, 1), "manifest"), flip) }, "manifest", false},
		{"an empty manifest", func(t *testing.T, s *store) { rewrite(t, filepath.Join(s.data(t, 1), "manifest"), empty) }, "manifest: it is cut off", false},
		{"a record cut off", func(t *testing.T, s *store) { rewrite(t, s.recordOf(1), half) }, "damaged record app:1", false},
		{"an empty record", func(t *testing.T, s *store) { rewrite(t, s.recordOf(2), empty) }, "damaged record app:1 : the record is empty", false},
		{"a record of another", func(t *testing.T, s *store) {
			b, err := os.ReadFile(s.recordOf(0))
			must(t, err)
			must(t, os.WriteFile(s.recordOf(1), b, 0o600))
		}, "damaged record app:1", false},
		{"a record of an unknown kind", func(t *testing.T, s *store) {
			rewrite(t, s.recordOf(2), func(b []byte) []byte { return []byte(strings.Replace(string(b), `"committed"`, `"frozen"`, 1)) })
		}, `its kind is "frozen"`, false},
		{"a record less", func(t *testing.T, s *store) { must(t, os.Remove(s.recordOf(1))) }, "is not what it was made on", false},
		{"another layer in a record", func(t *testing.T, s *store) {
			rewrite(t, s.recordOf(2), func(b []byte) []byte {
				d := s.image.Config.RootFS.DiffIDs
				return []byte(strings.ReplaceAll(string(b), d[2].String(), d[1].String()))
			})
		}, "which makes the ChainID", false},
		{"the bytes of a record", func(t *testing.T, s *store) { must(t, os.RemoveAll(s.data(t, 2))) }, "damaged record app:1 : its bytes", false},
		{"a blob cut off", func(t *testing.T, s *store) { rewrite(t, s.blobOf(s.image.Layers[1].Digest), half) }, "damaged blob app:1 : it has", false},
		{"a byte of a blob", func(t *testing.T, s *store) { rewrite(t, s.blobOf(s.image.Layers[1].Digest), flip) }, "damaged blob app:1 : its digest is", true},
		{"a blob less", func(t *testing.T, s *store) { must(t, os.Remove(s.blobOf(s.image.Layers[0].Digest))) }, "damaged blob app:1 : it is missing", false},
		{"a blob of another layer", func(t *testing.T, s *store) { s.swapBlobs(t) }, "damaged blob app:1 : its content has the DiffID sha256:", true},
		{"an image manifest", func(t *testing.T, s *store) { rewrite(t, s.blobOf(s.image.Manifest.Digest), flip) }, "damaged image app:1", false},
		{"a config", func(t *testing.T, s *store) { rewrite(t, s.blobOf(s.image.ID), half) }, "damaged image app:1", false},
		{"the index", func(t *testing.T, s *store) { rewrite(t, filepath.Join(s.Dir, "images", "index.json"), half) }, "damaged index", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *store) {
				tt.damage(t, s)
				for _, deep := range []bool{false, true} {
					lines, sum := s.check(t, check.Options{Deep: deep})
					seen := strings.Contains(strings.Join(lines, "\n"), tt.want)
					if want := deep || !tt.deep; seen != want || (sum.Damaged > 0) != want {
						t.Errorf("deep %v: %d damaged, %q, want %q: %v", deep, sum.Damaged, lines, tt.want, want)
					}
				}
			})
		})
	}
}

// One broken directory is one line, not one for each file in it.
func TestDirectoryIsOneLine(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		must(t, os.RemoveAll(s.file(t, 2, "home")))
		must(t, os.MkdirAll(s.file(t, 2, "new/a/b/c"), 0o755))
		lines, _ := s.check(t, check.Options{})
		if len(lines) != 2 {
			t.Errorf("got %q", lines)
		}
	})
}

func TestLayerWithoutManifest(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		must(t, os.Remove(filepath.Join(s.data(t, 2), "manifest")))
		lines, sum := s.check(t, check.Options{})
		if len(lines) != 1 || !strings.Contains(lines[0], "cannot be checked file by file") || sum.Damaged != 0 || sum.Unchecked != 1 {
			t.Errorf("%+v: %q", sum, lines)
		}
	})
}

// What a later version has written is not damaged.
func TestManifestOfAnotherVersion(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		rewrite(t, filepath.Join(s.data(t, 2), "manifest"), func(b []byte) []byte {
			return append([]byte("lrun-manifest 2"), b[len("lrun-manifest 1"):]...)
		})
		lines, sum := s.check(t, check.Options{})
		if len(lines) != 1 || !strings.Contains(lines[0], "version") || sum.Damaged != 0 || sum.Unchecked != 1 {
			t.Errorf("%+v: %q", sum, lines)
		}
	})
}

// A backup and its restoration change the times of directories, and inode numbers, and nothing that counts.
func TestNoFalseAlarmAfterRestore(t *testing.T) {
	for name, script := range map[string]string{
		"cp":  `cp -a "$1" "$2"`,
		"tar": `mkdir "$2" && tar -C "$1" --xattrs --xattrs-include='*' -cf - . | tar -C "$2" --xattrs --xattrs-include='*' -xpf -`,
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *store) {
				_, err := s.snapshots.Prepare(t.Context(), "container", s.key(2))
				must(t, err)
				to := filepath.Join(t.TempDir(), "restored")
				if out, err := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script+`; find "$2" -type d -exec touch {} +`, "-", s.Dir, to).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				restored := open(t, to, s.driver)
				lines, sum := restored.check(t, check.Options{Deep: true})
				if len(lines) > 0 || sum.Layers != 3 {
					t.Errorf("%+v: %q", sum, lines)
				}
			})
		})
	}
}

func TestNoFalseAlarmAfterMount(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		_, err := s.snapshots.Prepare(t.Context(), "container", s.key(2))
		must(t, err)
		mounts, err := s.snapshots.Mounts(t.Context(), "container")
		must(t, err)
		target := t.TempDir()
		must(t, mounts[0].At(target))
		err = errors.Join(os.WriteFile(filepath.Join(target, "bin/sh"), []byte("changed"), 0o755),
			os.RemoveAll(filepath.Join(target, "etc")), os.Rename(filepath.Join(target, "top"), filepath.Join(target, "moved")))
		lines, _ := s.check(t, check.Options{Deep: true})
		must(t, errors.Join(err, unix.Unmount(target, 0)))
		after, _ := s.check(t, check.Options{Deep: true})
		if len(lines)+len(after) > 0 {
			t.Errorf("mounted: %q, afterwards: %q", lines, after)
		}
	})
}

// What goes while it is looked at was not damaged.
func TestRemovedMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		must(t, os.Remove(s.blobOf(s.image.Layers[0].Digest)))
		must(t, os.Remove(s.file(t, 2, "top")))
		must(t, s.Images.Drop(t.Context(), s.image.ID))
		must(t, s.snapshots.Remove(t.Context(), s.key(2)))
		lines, sum := s.check(t, check.Options{Only: []image.Record{s.record}})
		if len(lines) > 0 || sum.Damaged > 0 {
			t.Errorf("got %q", lines)
		}
	})
}

// The same, when it goes after the check has begun.
func TestRemovedAfterTheBegin(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		tops := map[string]string{}
		must(t, errors.Join(os.Remove(s.blobOf(s.image.Layers[0].Digest)), os.Remove(s.file(t, 2, "top"))))
		first := s.key(2)
		s.add(t, "other:1", layers()[0], lt.Tar(lt.File("own", "own")))
		must(t, errors.Join(os.Remove(s.blobOf(s.image.Layers[1].Digest)), os.Remove(s.file(t, 1, "own"))))
		tops[first], tops[s.key(1)] = s.key(1), first
		var lines []string
		_, err := check.Check(t.Context(), s.Root, check.Options{Report: func(f check.Finding) {
			lines = append(lines, f.Kind+" "+f.Path)
			switch {
			case len(lines) == 1: // a blob of the first image
				must(t, s.Images.Drop(t.Context(), s.image.ID))
			case f.Kind == "layer":
				must(t, s.snapshots.Remove(t.Context(), tops[f.ID]))
			}
		}})
		must(t, err)
		if len(lines) < 2 || lines[0] != "blob " || !strings.HasPrefix(lines[1], "layer ") || slices.ContainsFunc(lines[2:], func(l string) bool { return l != "blob " }) {
			t.Errorf("got %q", lines)
		}
	})
}

func TestOnly(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		damaged := s.file(t, 2, "top")
		first := s.record
		s.add(t, "other:1", layers()[:2]...)
		must(t, os.Chmod(damaged, 0o600))
		if lines, sum := s.check(t, check.Options{Only: []image.Record{s.record}}); len(lines) > 0 || sum.Layers != 2 || sum.Images != 1 {
			t.Errorf("of the other image: %+v, %q", sum, lines)
		}
		if lines, sum := s.check(t, check.Options{Only: []image.Record{first}}); len(lines) != 1 || sum.Layers != 3 {
			t.Errorf("of the damaged image: %+v, %q", sum, lines)
		}
	})
}

func TestLeftovers(t *testing.T) {
	onEach(t, func(t *testing.T, s *store) {
		in, err := s.Blobs.Begin()
		must(t, err)
		defer in.Close() // at work: no leftover
		must(t, os.MkdirAll(filepath.Join(s.Dir, "ingest", "dead"), 0o700))
		must(t, os.WriteFile(s.blobOf("sha256:"+"ab12"+s.image.Layers[0].Digest[11:]), nil, 0o600))
		must(t, os.Mkdir(filepath.Join(filepath.Dir(s.data(t, 0)), "00000000000000aa"), 0o700))
		lines, sum := s.check(t, check.Options{})
		if sum.Damaged != 0 || sum.Leftovers != 3 {
			t.Errorf("%+v: %q", sum, lines)
		}
	})
}

// people are containers as a test says.
type people struct {
	list []check.Container
	err  error
	gone map[string]bool
}

func (p people) List() ([]check.Container, error) { return p.list, p.err }
func (p people) Gone(id string) bool              { return p.gone[id] }
func (p people) Busy(string) bool                 { return false }

func TestContainers(t *testing.T) {
	id := func(c string) string { return strings.Repeat(c, 64) }
	good := check.Container{ID: id("a"), Name: "good", Driver: "vfs", Snapshot: true, Holder: id("a")}
	with := func(change func(*check.Container)) check.Container {
		c := good
		c.ID, c.Holder = id("b"), id("b")
		change(&c)
		return c
	}
	s := newContainerStore(t, good.ID, id("b"))
	s.Volumes = volume.Open(filepath.Join(s.Dir, "volumes"))
	data, err := s.Volumes.Create(t.Context(), "data", volume.Options{})
	must(t, err)
	must(t, data.Close())
	tests := []struct {
		name       string
		containers people
		want       string
	}{
		{"sound", people{list: []check.Container{good, with(func(*check.Container) {})}}, ""},
		{"a name lost", people{list: []check.Container{good, with(func(c *check.Container) { c.Holder = "" })}}, "its name good is not recorded"},
		{"a name of another", people{list: []check.Container{good, with(func(c *check.Container) { c.Holder = good.ID })}}, "recorded as that of " + good.ID},
		{"no snapshot", people{list: []check.Container{good, {ID: id("c"), Driver: "vfs", Snapshot: true, Holder: id("c")}}}, "its snapshot is missing"},
		{"no snapshot needed", people{list: []check.Container{good, {ID: id("c"), Holder: id("c")}}}, ""},
		{"no driver", people{list: []check.Container{good, with(func(c *check.Container) { c.Driver = "overlayfs" })}}, `nothing of the driver "overlayfs"`},
		{"gone meanwhile", people{list: []check.Container{good, {ID: id("c"), Snapshot: true, Holder: id("c")}}, gone: map[string]bool{id("c"): true}}, ""},
		{"a snapshot left", people{list: []check.Container{good}, gone: map[string]bool{id("b"): true}}, "left over container"},
		{"a volume", people{list: []check.Container{good, with(func(c *check.Container) { c.Volumes = []string{"data"} })}}, ""},
		{"no volume", people{list: []check.Container{good, with(func(c *check.Container) { c.Volumes = []string{"data", "none"} })}}, "its volume none is missing: lrun volume create none makes an empty one"},
		{"a volume whose record is told of", people{list: []check.Container{good, with(func(c *check.Container) { c.Volumes = []string{"torn"} })}}, "damaged volume"},
		{"a record damaged", people{list: []check.Container{good}, err: errors.Join(errdefs.ErrDataLoss)}, "damaged container"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Containers = tt.containers
			if torn := filepath.Join(s.Dir, "volumes", "torn"); tt.want == "damaged volume" {
				must(t, errors.Join(os.Mkdir(torn, 0o700), os.WriteFile(torn+"/volume.json", []byte("{"), 0o600)))
				defer os.RemoveAll(torn)
			}
			lines, _ := s.check(t, check.Options{})
			if got := strings.Join(lines, "\n"); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	s.Containers = people{err: os.ErrPermission}
	if _, err := check.Check(t.Context(), s.Root, check.Options{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("containers that cannot be listed: %v", err)
	}
}

// TestContainerFiles takes away what holds the files that a container has written.
func TestContainerFiles(t *testing.T) {
	id := strings.Repeat("a", 64)
	for _, tt := range []struct{ name, remove, want string }{
		{"nothing", "none", ""},
		{"its files", "fs", `its files, "`},
		{"all", ".", "its bytes, "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newContainerStore(t, id)
			s.Containers = people{list: []check.Container{{ID: id, Driver: "vfs", Snapshot: true, Holder: id}}}
			path, err := s.snapshots.Path(t.Context(), id)
			must(t, err)
			must(t, os.RemoveAll(filepath.Join(filepath.Dir(path), tt.remove)+"/"))
			lines, sum := s.check(t, check.Options{})
			if got := strings.Join(lines, "\n"); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") || (sum.Damaged > 0) != (got != "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVolumes(t *testing.T) {
	s := newContainerStore(t)
	dir := filepath.Join(s.Dir, "volumes")
	s.Volumes = volume.Open(dir)
	for _, name := range []string{"sound", "torn", "empty"} {
		h, err := s.Volumes.Create(t.Context(), name, volume.Options{})
		must(t, err)
		must(t, h.Close())
	}
	if lines, sum := s.check(t, check.Options{}); len(lines) > 0 || sum.Volumes != 3 {
		t.Errorf("%+v: %q", sum, lines)
	}
	must(t, errors.Join(os.Truncate(dir+"/torn/volume.json", 5), os.Remove(dir+"/empty/_data"), os.WriteFile(dir+"/notes", nil, 0o600), os.Mkdir(dir+"/.new-x", 0o700)))
	for _, only := range [][]image.Record{nil, {}} { // with the names of images only these are checked
		var found []check.Finding
		sum, err := check.Check(t.Context(), s.Root, check.Options{Only: only, Report: func(f check.Finding) { found = append(found, f) }})
		must(t, err)
		if only != nil {
			if len(found) > 0 {
				t.Errorf("got %+v", found)
			}
			continue
		}
		got := map[string]check.Severity{}
		for _, f := range found {
			got[f.ID] = f.Severity
			if (f.Remedy != "") != (f.ID == "empty") || f.Kind != "volume" {
				t.Errorf("got %+v", f)
			}
		}
		want := map[string]check.Severity{"torn": check.Damage, "empty": check.Damage, dir + "/notes": check.Unchecked, dir + "/.new-x": check.Leftover}
		if !maps.Equal(got, want) || sum.Damaged != 2 || sum.Unchecked != 1 || sum.Leftovers != 1 {
			t.Errorf("got %v, %+v", got, sum)
		}
	}
}

// newContainerStore is a root without images and with snapshots of the given keys; it needs no root.
func newContainerStore(t *testing.T, keys ...string) *store {
	s := open(t, filepath.Join(t.TempDir(), "root"), "vfs")
	for _, k := range keys {
		_, err := s.snapshots.Prepare(t.Context(), k, "", snapshot.WithLabels(nil))
		must(t, err)
	}
	return s
}
