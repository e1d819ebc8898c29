package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
)

// Ingest is a set of blobs that one process writes and that the store does not have before Publish.
// Its methods may be called from several goroutines, except Publish and Close.
type Ingest struct {
	store *Store
	dir   string
	lock  *flock.Lock

	// OnFull, if set, is called once when there is no room for a blob, before those that are kept give way.
	OnFull func()
	onFull sync.Once

	mu    sync.Mutex
	blobs map[digest.Digest]*file
	kept  map[digest.Digest]int64 // blobs that Keep had kept, and their sizes; nil: nobody has looked
}

// file holds one blob. Writing the blob again makes a new one.
type file struct {
	path   string
	synced bool
}

// Write takes in the blob that r holds and verifies it while writing: bytes that are not those of
// desc are a *Mismatch, which is errdefs.ErrDataLoss. At most one byte more than desc.Size is read.
// A negative size or an empty digest was not known beforehand and is not compared. After an error
// nothing of the blob is in the ingest. The bytes are not synced yet: see Sync.
func (in *Ingest) Write(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	alg := digest.Canonical
	if desc.Digest != "" {
		if err := Validate(desc.Digest); err != nil {
			return fmt.Errorf("write blob %q: %w", desc.Digest, err)
		}
		alg = desc.Digest.Algorithm()
	}
	_, _, err := in.write(ctx, alg, desc, r)
	return err
}

// WriteUnknown takes in the bytes of r and returns their digest (sha256) and their number, which is compared with
// size unless that is negative. The bytes are not synced yet: see Sync.
func (in *Ingest) WriteUnknown(ctx context.Context, size int64, r io.Reader) (digest.Digest, int64, error) {
	return in.write(ctx, digest.Canonical, ocispec.Descriptor{Size: size}, r)
}

// write takes in r, hashed with alg, if it is what want describes.
func (in *Ingest) write(ctx context.Context, alg digest.Algorithm, want ocispec.Descriptor, r io.Reader) (d digest.Digest, n int64, err error) {
	t := &target{dir: in.dir, alg: alg, like: in.openLike(want.Digest, want.Size), sum: alg.Hash(), room: in.Room}
	made := false
	defer func() { err = errors.Join(err, t.close(made)) }()
	if len(t.like) == 0 {
		err := checkRoom(in.dir, want)
		if err != nil && in.Room() {
			err = checkRoom(in.dir, want)
		}
		if err != nil {
			return "", 0, fmt.Errorf("write blob%s: %w", named(want.Digest), err)
		}
	}
	if d, n, err = fill(ctx, t, want, r); err == nil {
		err = in.finish(t, d)
	}
	if err != nil {
		return "", 0, err
	}
	made = true
	return d, n, nil
}

// finish makes what t has blob d of the ingest.
func (in *Ingest) finish(t *target, d digest.Digest) error {
	if f := t.kept(); f != nil {
		return in.adopt(f.Name(), d) // it stays kept until it is published: this try may be cut off, too
	}
	if err := t.begin(); err != nil {
		return fmt.Errorf("write blob: %w", err)
	}
	if in.store.sync == atomicfile.Durable {
		// The disk may begin while layers are unpacked; Sync waits for it, and is told what went wrong.
		_ = unix.SyncFileRange(int(t.f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
	if err := t.f.Chmod(0o644); err != nil {
		return err
	}
	return in.adopt(t.f.Name(), d)
}

// Room makes room for the ingest, as far as that can be done without taking from images or living processes, and tells whether
// there is more now.
func (in *Ingest) Room() (more bool) {
	in.onFull.Do(func() {
		if in.OnFull == nil {
			return
		}
		var was, is unix.Statfs_t
		err := unix.Statfs(in.dir, &was)
		in.OnFull()
		more = errors.Join(err, unix.Statfs(in.dir, &is)) == nil && is.Bfree > was.Bfree
	})
	return in.store.Yield() || more
}

// named is a space and the digest, if it is known.
func named(d digest.Digest) string {
	if d == "" {
		return ""
	}
	return " " + d.String()
}

// bigBlob is how much a blob must take so that it is worth asking whether there is room for it.
const bigBlob = 16 << 20

// checkRoom fails when the filesystem of dir has no room for a blob.
func checkRoom(dir string, want ocispec.Descriptor) error {
	if want.Size < bigBlob {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if room := st.Bfree * uint64(st.Bsize); uint64(want.Size) > room {
		return fmt.Errorf("it has %.1f MB, %.1f MB more than are free on the file system of %q: %w",
			float64(want.Size)/1e6, float64(uint64(want.Size)-room)/1e6, dir, unix.ENOSPC)
	}
	return nil
}

// fill copies r to t and compares it with want.
func fill(ctx context.Context, t *target, want ocispec.Descriptor, r io.Reader) (digest.Digest, int64, error) {
	r = &reader{ctx: ctx, r: r}
	if want.Size >= 0 {
		r = io.LimitReader(r, want.Size+1)
	}
	n, err := io.CopyBuffer(io.MultiWriter(t, t.sum), r, make([]byte, 64<<10)) // larger writes cost more: see package content
	if errors.Is(err, unix.ENOSPC) && want.Size > n {
		return "", 0, fmt.Errorf("there was no room for the last %.1f MB of %.1f: %w", float64(want.Size-n)/1e6, float64(want.Size)/1e6, err)
	}
	if err != nil {
		return "", 0, err
	}
	if want.Size >= 0 && n > want.Size {
		return "", 0, &Mismatch{Want: want, Size: n}
	}
	d := digest.NewDigest(t.alg, t.sum)
	return d, n, Compare(want, d, n)
}

// adopt makes the file at path blob d of the ingest.
func (in *Ingest) adopt(path string, d digest.Digest) error {
	name := filepath.Join(in.dir, fileName(d))
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := os.Rename(path, name); err != nil {
		return err
	}
	in.blobs[d] = &file{path: name}
	return nil
}

// Open opens blob d, ingested or else of the store, for reading; the caller closes it. A blob that
// is in neither is errdefs.ErrNotFound.
func (in *Ingest) Open(d digest.Digest) (*os.File, error) {
	in.mu.Lock()
	f, ok := in.blobs[d]
	in.mu.Unlock()
	if !ok {
		return in.store.Open(d)
	}
	return open(f.path, d)
}

// Digests returns the digests of all blobs in the ingest, sorted.
func (in *Ingest) Digests() []digest.Digest {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Sorted(maps.Keys(in.blobs))
}

// Discard drops blob d from the ingest: it will not be published. Discarding what is not there is
// not an error.
func (in *Ingest) Discard(d digest.Digest) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	f, ok := in.blobs[d]
	if !ok {
		return nil
	}
	delete(in.blobs, d)
	return os.Remove(f.path)
}

// Sync makes all blobs written so far durable, with one syncfs: whatever else is dirty on that
// filesystem is written too, so one call serves for unpacked layers as well.
func (in *Ingest) Sync() error {
	in.mu.Lock()
	files := slices.Collect(maps.Values(in.blobs))
	in.mu.Unlock()
	if err := in.store.sync.Filesystem(in.dir); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, f := range files {
		f.synced = true
	}
	return nil
}

// Publish gives all blobs to the store, replacing those of the same digest (which heals damaged
// ones), and returns when they are durable. What Sync did not cover is synced first, file by file.
// After an error some blobs may be in the store, which is harmless as long as nothing names them;
// the others stay here.
func (in *Ingest) Publish() error {
	if err := in.publish(); err != nil {
		return fmt.Errorf("publish ingest %q: %w", in.dir, err)
	}
	return nil
}

func (in *Ingest) publish() error {
	dirs := map[string]bool{}
	for _, d := range in.Digests() {
		target, err := in.store.path(d)
		if err != nil {
			return err
		}
		dir := filepath.Dir(target)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := in.move(d, target); err != nil {
			return err
		}
		_ = os.Remove(in.store.keptPath(d)) // the sweep does, too
		for ; !dirs[dir] && dir != filepath.Dir(in.store.layout); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	// Also the directories that were there: another process may have just made them.
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := in.store.sync.Dir(dir); err != nil {
			return err
		}
	}
	return nil
}

// move renames blob d to target, durable first.
func (in *Ingest) move(d digest.Digest, target string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	f := in.blobs[d]
	if !f.synced {
		if err := in.syncFile(f.path); err != nil {
			return err
		}
		f.synced = true
	}
	if err := os.Rename(f.path, target); err != nil {
		return err
	}
	delete(in.blobs, d)
	return nil
}

// TakeBack takes blob d, which Publish has just given to the store, out of it again, into the ingest. Nothing may name it: the root is
// locked. A blob that is not there is no error.
func (in *Ingest) TakeBack(d digest.Digest) error {
	path, err := in.store.path(d)
	if err == nil {
		err = in.adopt(path, d)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (in *Ingest) syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(in.store.sync.File(f), f.Close())
}

// Close ends the ingest and removes what was not published. A second call does nothing.
func (in *Ingest) Close() error {
	if in.lock == nil {
		return nil
	}
	err := errors.Join(os.RemoveAll(in.dir), in.lock.Unlock())
	in.lock = nil
	return err
}

// reader reads r until ctx is done.
type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
