package quota

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/mount"
)

// makeImage is Make with a file system of its own.
func (l *Limit) makeImage(ctx context.Context, base string, sync atomicfile.Sync, volatile bool, fill func(home string) error) error {
	path := filepath.Join(base, imageName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(l.Size)
	if err == nil {
		err = format(ctx, f, l.Size, volatile)
	}
	if err == nil {
		err = fillImage(base, sync, fill)
	}
	if err == nil {
		err = errors.Join(sync.File(f), sync.Dir(base), sync.Dir(filepath.Dir(base)))
	}
	return errors.Join(err, f.Close())
}

// fillImage calls fill with the mounted file system. When it returns, nothing of it is mounted.
func fillImage(base string, sync atomicfile.Sync, fill func(home string) error) error {
	root, err := openImage(base)
	if err != nil {
		return err
	}
	err = fill(inside(root, ""))
	if err == nil {
		err = sync.Filesystem(inside(root, ""))
	}
	return errors.Join(err, root.Close())
}

// openImage mounts the file system in base, attached nowhere. As long as anything of it is mounted anywhere, it is mounted
// through the same device, so that it is one file system for all; the device goes with the last of them. The caller
// closes it.
func openImage(base string) (root *os.File, err error) {
	path := filepath.Join(base, imageName)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lock, err := flock.Exclusive(path) // nobody else takes a second device meanwhile
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	device, err := deviceOf(f)
	if err != nil {
		return nil, fmt.Errorf("attach %q to a loop device: %w", path, err)
	}
	defer func() { err = errors.Join(err, device.Close()) }() // from now on the mount keeps it
	m := mount.Mount{Type: "ext4", Source: device.Name(), Options: []mount.Option{
		{Key: "errors", Value: "remount-ro"},
		{Key: "discard"},       // what is deleted inside is free outside
		{Key: "noinit_itable"}, // what was never written is no block of a sparse file
	}}
	durable, err := hasJournal(f)
	if err != nil {
		return nil, err
	}
	if !durable {
		m.Options = append(m.Options, mount.Option{Key: "nobarrier"}) // its end need not wait for a disk
	}
	return m.Open()
}

// hasJournal reads from the ext4 file system in f whether it has one, and so is a durable one.
func hasJournal(f *os.File) (bool, error) {
	const features, journal = 1024 + 0x5c, 4 // s_feature_compat of the superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL
	var b [4]byte
	_, err := f.ReadAt(b[:], features)
	return binary.LittleEndian.Uint32(b[:])&journal != 0, err
}

// format makes the file system in f, of size bytes. A volatile one needs no journal, and need not wait for a disk.
func format(ctx context.Context, f *os.File, size int64, volatile bool) error {
	program, err := find(mkfs)
	if err != nil {
		return err
	}
	args := []string{"-q", "-F", "-m", "0", "-b", "4096", "-I", "256", "-i", "8192", "-e", "remount-ro"}
	args = append(args, "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0")
	if volatile {
		args = append(args, "-O", "^has_journal")
	} else {
		args = append(args, "-J", journal(size))
	}
	var said bytes.Buffer
	c := exec.CommandContext(ctx, program, append(args, "/proc/self/fd/3")...)
	c.ExtraFiles, c.Stdout, c.Stderr = []*os.File{f}, &said, &said
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	c.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // the signal comes when the thread ends that has started it
	defer runtime.UnlockOSThread()
	if err := c.Run(); err != nil {
		why, _, _ := bytes.Cut(bytes.TrimSpace(said.Bytes()), []byte("\n"))
		return fmt.Errorf("%s: %w: %s", program, err, why)
	}
	return nil
}

// journal is how large the journal of a file system of size bytes is, for mkfs: small beside it.
func journal(size int64) string {
	if size < 1<<30 {
		return "size=4"
	}
	return "size=16"
}

const mkfs = "mkfs.ext4"

// find returns the path of mkfs, which is often in no PATH. None is errdefs.ErrNotImplemented.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the size of the disk is kept with the program %s: install the package e2fsprogs: %w",
		name, errdefs.ErrNotImplemented)
}
