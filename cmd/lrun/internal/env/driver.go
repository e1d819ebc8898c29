package env

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/btrfs"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

// The drivers.
const (
	overlayfsName = "overlayfs"
	vfsName       = "vfs"
	btrfsName     = "btrfs"
)

// Driver says how layers are kept.
type Driver struct {
	Name   string
	Chosen bool         // by --driver or $LRUN_DRIVER, not by a probe
	Method mount.Method // of overlayfs
	Reason string       // why nothing better works here; empty when this is the best, or was chosen
}

// Driver finds out how layers are kept: as the user says, otherwise as the kernel can. It says once on standard
// error that layers are copied when nobody asked for that. A driver that does not exist is errdefs.ErrInvalidArgument, one that does
// not work here, or not in this version, errdefs.ErrNotImplemented.
func (e *Env) Driver() (Driver, error) { return e.pick() }

// pickDriver does the work of Driver.
func (e *Env) pickDriver() (Driver, error) {
	root, err := e.store()
	if err != nil {
		return Driver{}, err
	}
	if e.driver == vfsName {
		return Driver{Name: vfsName, Chosen: true}, nil
	}
	dir := filepath.Join(root, "snapshots")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Driver{}, err
	}
	if e.driver == btrfsName {
		return Driver{Name: btrfsName, Chosen: true}, onBtrfs(dir)
	}
	if err := os.MkdirAll(e.State(), 0o700); err != nil {
		return Driver{}, err
	}
	support, err := e.support(dir)
	if err != nil {
		return Driver{}, err
	}
	if !support.OK {
		support.Reason = nested(dir, support.Reason)
	}
	d, err := choose(e.driver, support)
	if err == nil && d.Name == vfsName {
		e.Notice("overlayfs does not work here, so the vfs driver copies the whole image for each container: %s", d.Reason)
	}
	return d, err
}

// support finds out what overlays can be had in dir, the directory of all snapshots. Where it is full or read-only, and layers of
// overlayfs are there, they can, and the kernel's way is seen in the state directory; without them that is an error: the user is to
// choose, or to make room, and not to get copies from then on.
func (e *Env) support(dir string) (overlay.Support, error) {
	s := e.probe(dir, e.State())
	if s.Hindered == nil {
		return s, nil
	}
	if _, err := os.Lstat(filepath.Join(dir, overlayfsName)); err == nil {
		if s := e.probeOnce(e.State()); s.OK {
			return s, nil
		}
	}
	return overlay.Support{}, fmt.Errorf("it cannot be tried out whether overlayfs works in %s: put that right, or choose a --driver: %w", dir, s.Hindered)
}

// onBtrfs refuses a directory of another filesystem.
func onBtrfs(dir string) error {
	ok, err := subvolume.Supported(dir)
	if err == nil && !ok {
		err = errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("driver btrfs does not work here: %s is not on btrfs; "+
			"name a directory there with --root, or leave --driver out", dir))
	}
	return err
}

// nested is reason, or in a container, where the root is on overlayfs itself, what to do about that.
func nested(dir, reason string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return reason
	}
	return "the root is on overlayfs itself, which cannot be an upper layer; in a container keep it on a tmpfs or a volume, " +
		"with --tmpfs DIR or -v HOSTDIR:DIR of the outer run and --root DIR of the inner one"
}

// choose makes a driver of what was asked for, "" for the best, and what works.
func choose(asked string, s overlay.Support) (Driver, error) {
	d := Driver{Name: overlayfsName, Chosen: asked == overlayfsName, Method: s.Method, Reason: s.Reason}
	switch {
	case s.OK:
		return d, nil
	case d.Chosen:
		return Driver{}, errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("driver overlayfs does not work here (%s): leave --driver out to fall back to vfs", s.Reason))
	}
	return Driver{Name: vfsName, Reason: s.Reason}, nil
}

// checkDriver refuses what is not a driver of lrun's, and says what to use instead.
func checkDriver(name string) error {
	advice := ""
	switch name {
	case "", overlayfsName, vfsName, btrfsName:
		return nil
	case "overlay", "overlay2":
		advice = "it is called overlayfs here"
	case "aufs":
		advice = "it is in no kernel any more; use overlayfs"
	case "devicemapper":
		advice = "it is given up everywhere; use overlayfs on any file system"
	case "zfs":
		advice = "use overlayfs on a zfs data set (zfs 2.2), or vfs"
	case "fuse-overlayfs", "native":
		advice = "use overlayfs, the kernel's own"
	default:
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("there is no driver %q: use overlayfs, btrfs or vfs", name))
	}
	return errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("driver %s is not supported: %s", strings.TrimSpace(name), advice))
}

// Snapshots returns the snapshots of the root's driver.
func (e *Env) Snapshots() (*snapshot.Store, error) { return e.snapshots() }

func (e *Env) openSnapshots() (*snapshot.Store, error) {
	d, err := e.Driver()
	if err != nil {
		return nil, err
	}
	return e.snapshotsOn(d)
}

// snapshotsOn opens the snapshots of one driver.
func (e *Env) snapshotsOn(d Driver) (*snapshot.Store, error) {
	durable, err := e.Sync()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(e.Root(), "snapshots", d.Name)
	data := filepath.Join(dir, "data")
	switch d.Name {
	case vfsName:
		return snapshot.OpenWith(dir, vfs.New(data), durable)
	case btrfsName:
		return snapshot.OpenWith(dir, btrfs.New(data), durable)
	}
	return snapshot.OpenWith(dir, overlayfs.New(data, d.Method), durable)
}
