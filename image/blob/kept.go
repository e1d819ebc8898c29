package blob

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// KeptDir is where blobs are kept, in the directory of the ingests.
const KeptDir = "kept"

// keepTime is how long a blob is kept that nobody asks for, as containerd keeps what is fetched for an image.
const keepTime = 24 * time.Hour

// Kept are blobs that were kept.
type Kept struct {
	Count int
	Size  int64 // in bytes
}

// Keep moves the blobs of the ingest to where every later one finds them, for a day: for who could not finish what they are for,
// and will try again. They are no blobs of the store, and give way to those that need their room. A blob that cannot be made durable is
// not kept, and the error says why for the first of them; the others are, and are no longer in the ingest.
func (in *Ingest) Keep() (kept Kept, first error) {
	if err := os.Mkdir(filepath.Join(in.store.ingest, KeptDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return kept, fmt.Errorf("keep blobs: %w", err)
	}
	for _, d := range in.Digests() {
		size, err := in.keep(d)
		if err == nil {
			kept.Count++
			kept.Size += size
		} else if first == nil {
			first = fmt.Errorf("keep blob %s: %w", d, err)
		}
	}
	return kept, first
}

// keep keeps blob d and returns its size.
func (in *Ingest) keep(d digest.Digest) (int64, error) {
	in.mu.Lock()
	path := in.blobs[d].path
	in.mu.Unlock()
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil { // the day begins
		return 0, err
	}
	return fi.Size(), in.move(d, in.store.keptPath(d))
}

// fileName is the name of the file of blob d where it is not in the store.
func fileName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// eachKept calls fn for each blob that is kept, with its file.
func (s *Store) eachKept(fn func(d digest.Digest, path string, fi fs.FileInfo) error) error {
	dir := filepath.Join(s.ingest, KeptDir)
	entries, err := readDir(dir)
	errs := []error{err}
	for _, e := range entries {
		algorithm, hex, _ := strings.Cut(e.Name(), "-")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || Validate(d) != nil {
			continue
		}
		if err == nil {
			err = fn(d, filepath.Join(dir, e.Name()), fi)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// RemoveKept removes a blob that Keep has kept. Removing what is gone is not an error.
func (s *Store) RemoveKept(d digest.Digest) error {
	if err := Validate(d); err != nil {
		return fmt.Errorf("remove kept blob %q: %w", d, err)
	}
	return os.RemoveAll(s.keptPath(d))
}

// sweepKept removes those that were kept for long enough, or are in the store by now.
func (s *Store) sweepKept() error {
	return s.eachKept(func(d digest.Digest, path string, fi fs.FileInfo) error {
		if !s.expired(d, fi) {
			return nil
		}
		return os.RemoveAll(path)
	})
}

// Yield removes what processes that died have left of ingests, and all blobs that are kept, except those that a living ingest has
// taken, and tells whether there is more room now.
func (s *Store) Yield() (more bool) {
	// What resists only takes room.
	entries, _ := readDir(s.ingest)
	for _, e := range entries {
		if e.Name() != KeptDir {
			swept, err := sweep(filepath.Join(s.ingest, e.Name()))
			more = more || swept && err == nil
		}
	}
	_ = s.eachKept(func(_ digest.Digest, path string, fi fs.FileInfo) error {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			return nil
		}
		err := os.RemoveAll(path)
		more = more || err == nil && fi.Size() > 0
		return err
	})
	return more
}

// expired tells whether the blob d, whose file is fi, need not be kept any more.
func (s *Store) expired(d digest.Digest, fi fs.FileInfo) bool {
	return time.Since(fi.ModTime()) > keepTime || s.Has(d)
}

// maxLike is how many blobs are compared with one that is written, so that there are descriptors for them.
const maxLike = 200

// openLike opens blobs that were kept and may be the one of size bytes with digest d, of which either may be unknown. Each gets a name
// in the ingest: Yield leaves it, and whoever removes it does not take it away while it is compared.
func (in *Ingest) openLike(d digest.Digest, size int64) (like []*os.File) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.kept == nil {
		in.kept = map[digest.Digest]int64{}
		// What cannot be looked at is written anew.
		_ = in.store.eachKept(func(d digest.Digest, _ string, fi fs.FileInfo) error {
			if fi.Mode().IsRegular() {
				in.kept[d] = fi.Size()
			}
			return nil
		})
	}
	for kept, length := range in.kept {
		if d != "" && kept != d || size >= 0 && size != length || len(like) == maxLike {
			continue
		}
		name := filepath.Join(in.dir, "like-"+rand.Text())
		if err := os.Link(in.store.keptPath(kept), name); err != nil {
			continue
		}
		if f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err == nil {
			like = append(like, f)
		} else {
			_ = os.Remove(name) // it goes with the ingest at the latest
		}
	}
	return like
}

// keptPath is the file of blob d if that is kept.
func (s *Store) keptPath(d digest.Digest) string {
	return filepath.Join(s.ingest, KeptDir, fileName(d))
}
