package dropped

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/layer/split"
)

// errNoGain says that a blob takes no more room than what would take its place.
var errNoGain = errors.New("nothing would be gained: the tar-split data would take as much room")

// make makes the split data of the layer at p out of its blob and verifies that the layer's tar comes out of it. It returns
// how many bytes the data takes on disk. Unless dry is set, it is durable then.
func (s *Store) make(ctx context.Context, p place, blob, diffID digest.Digest, dry bool) (int64, error) {
	room, err := s.taken(blob)
	if err != nil {
		return 0, err
	}
	f, err := unnamed(p.dir)
	if err != nil {
		return 0, err
	}
	size, err := s.fill(ctx, f.File, p, blob, diffID, room)
	if err == nil && !dry {
		err = f.publish(p.split(), s.blobs.Sync())
	}
	return size, errors.Join(err, f.Close())
}

// fill writes the split data to f and puts the tar together once, for a proof.
func (s *Store) fill(ctx context.Context, f *os.File, p place, blob, diffID digest.Digest, room int64) (int64, error) {
	found, err := s.write(ctx, &limited{f, room}, p, blob)
	if err != nil {
		return 0, err
	}
	if found.DiffID != diffID {
		return 0, fmt.Errorf("the blob has DiffID %s, not %s: %w", found.DiffID, diffID, errdefs.ErrDataLoss)
	}
	if err := s.blobs.Sync().File(f); err != nil { // only then it is known what it takes
		return 0, err
	}
	size, err := onDisk(f)
	if err == nil && size >= room {
		err = errNoGain
	}
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	dir, err := os.Open(p.files())
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	r, err := split.NewReader(f)
	if err == nil {
		err = split.Assemble(ctx, io.Discard, dir, r)
	}
	return size, err
}

// write writes the split data of the blob to w.
func (s *Store) write(ctx context.Context, w io.Writer, p place, blob digest.Digest) (total split.Total, err error) {
	m, err := manifest.Open(p.manifest())
	if err != nil {
		return total, err
	}
	x, err := split.NewIndex(m)
	if err = errors.Join(err, m.Close()); err != nil {
		return total, err
	}
	f, err := s.blobs.Open(blob)
	if err != nil {
		return total, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	tar, _, err := layer.Decompress(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return total, err
	}
	total, err = split.Write(ctx, w, tar, x)
	return total, errors.Join(err, tar.Close())
}

// taken is how many bytes a blob takes on disk.
func (s *Store) taken(d digest.Digest) (int64, error) {
	f, err := s.blobs.Open(d)
	if err != nil {
		return 0, err
	}
	n, err := onDisk(f)
	return n, errors.Join(err, f.Close())
}

// blockSize is the unit of st_blocks, whatever the filesystem's is.
const blockSize = 512

func onDisk(f *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat %q: %w", f.Name(), err)
	}
	return st.Blocks * blockSize, nil
}

// limited fails when more than room bytes are written.
type limited struct {
	w    io.Writer
	room int64
}

func (l *limited) Write(p []byte) (int, error) {
	if l.room -= int64(len(p)); l.room < 0 {
		return 0, errNoGain
	}
	return l.w.Write(p)
}

// temporary is a file that is being made. It has no name, so that a process that is killed leaves nothing, where the
// filesystem can do that.
type temporary struct {
	*os.File
	name string // "": none
}

func unnamed(dir string) (*temporary, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return &temporary{File: os.NewFile(uintptr(fd), filepath.Join(dir, split.FileName))}, nil
	}
	f, err := os.CreateTemp(dir, ".tmp-")
	if err != nil {
		return nil, err
	}
	return &temporary{File: f, name: f.Name()}, nil
}

// publish gives the file its name, durably if sync is. What had that name was the same of an earlier time; it is there until the
// file takes its place, for nothing else may be left of the blob.
func (t *temporary) publish(path string, sync atomicfile.Sync) error {
	var err error
	if t.name != "" {
		if err = os.Rename(t.name, path); err == nil {
			t.name = ""
		}
	} else if err = t.link(path); errors.Is(err, unix.EEXIST) {
		err = t.replace(path)
	}
	if err != nil {
		return fmt.Errorf("name %q: %w", path, err)
	}
	return sync.Dir(filepath.Dir(path))
}

// replace puts the file, which has no name, where another one is. When other processes make the same at this moment, that of any of
// them will do.
func (t *temporary) replace(path string) error {
	beside := filepath.Join(filepath.Dir(path), ".tmp-"+filepath.Base(path))
	if err := os.Remove(beside); err != nil && !errors.Is(err, os.ErrNotExist) { // of one that was killed
		return err
	}
	err := t.link(beside)
	if err == nil {
		err = os.Rename(beside, path)
	}
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (t *temporary) link(name string) error {
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", t.Fd()), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
}

// Close removes a file that was not published.
func (t *temporary) Close() error {
	err := t.File.Close()
	if t.name != "" {
		err = errors.Join(err, os.Remove(t.name))
	}
	return err
}
