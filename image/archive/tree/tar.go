// Package tree gives access by name to the files of an archive, whether it is a tar that streams by
// or a directory. Names are slash-separated and relative; links are followed, but never out of the tree.
package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer"
)

// Limits of reading a tar. Small files are kept in memory, because the many JSON files of old
// docker-archives would cost more as files than all else.
const (
	maxEntries  = 100_000
	maxSmall    = 64 << 10
	maxInMemory = 8 << 20
	maxLinks    = 40 // as the kernel
)

// Tar is a tree that was read out of a tar. Its larger files are in the ingest.
type Tar struct {
	in      *blob.Ingest
	entries map[string]entry
}

// entry is a file of the tar.
type entry struct {
	link   string        // of a link: its target in the tree
	leaves error         // of a link: that its target is not in the tree
	digest digest.Digest // sha256
	size   int64
	small  []byte // the content, if it is not in the ingest
}

// scanner reads a tar.
type scanner struct {
	*Tar
	limits map[string]int64
	memory int // bytes of small files
	count  int
}

// Decompress is layer.Decompress of an archive that its user has as a file.
func Decompress(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	plain, _, err := layer.Decompress(ContextReader(ctx, r))
	if errdefs.IsNotImplemented(err) {
		err = fmt.Errorf("%w (decompress it first, and give the plain tar)", err)
	}
	return plain, err
}

// Scan reads r, a tar, plain, gzip or zstd, to its end, with its larger files going into in, each under
// its digest (sha256); whoever needs none of them discards them. limits are those of Read for names
// that will be read: a file that exceeds its own is not taken in.
//
// What is no tar, an entry whose name leads out of the tree, two entries of one name and different
// contents, and more than 100,000 entries are errdefs.ErrInvalidArgument; a damaged or truncated tar is
// errdefs.ErrDataLoss; sparse files are errdefs.ErrNotImplemented. Entries that are neither files nor
// links are ignored.
func Scan(ctx context.Context, r io.Reader, in *blob.Ingest, limits map[string]int64) (t *Tar, err error) {
	plain, err := Decompress(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	s := &scanner{Tar: &Tar{in: in, entries: map[string]entry{}}, limits: limits}
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, Damage(err, s.count)
		}
		if err := s.add(ctx, h, tr); err != nil {
			return nil, err
		}
	}
	if s.count == 0 {
		return nil, fmt.Errorf("it is empty: %w", errdefs.ErrInvalidArgument)
	}
	// What follows is padding; whoever writes to us should be able to finish, and checksums are at the end.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return nil, err
	}
	return s.Tar, nil
}

// add takes in the entry h with the content r.
func (s *scanner) add(ctx context.Context, h *tar.Header, r io.Reader) error {
	if s.count++; s.count > maxEntries {
		return fmt.Errorf("the archive has more than %d entries: %w", maxEntries, errdefs.ErrInvalidArgument)
	}
	name, err := inside("", h.Name)
	if err != nil {
		return fmt.Errorf("entry %q: %w", h.Name, err)
	}
	var e entry
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		if isSparse(h) {
			return fmt.Errorf("entry %q is sparse, so a small archive could fill the disk: pack it without --sparse: %w", h.Name, errdefs.ErrNotImplemented)
		}
		e, err = s.content(ctx, name, h.Size, r)
	case tar.TypeSymlink:
		e.link, e.leaves = inside(path.Dir(name), h.Linkname)
	case tar.TypeLink:
		e.link, e.leaves = inside("", h.Linkname)
	default:
		return nil // directories; nothing else has a use in an archive
	}
	if err != nil {
		return fmt.Errorf("entry %q: %w", h.Name, err)
	}
	if old, ok := s.entries[name]; ok && (old.digest != e.digest || old.link != e.link) {
		return fmt.Errorf("entry %q is there twice, with different contents: %w", h.Name, errdefs.ErrInvalidArgument)
	}
	s.entries[name] = e
	return nil
}

// isSparse knows the three ways in which GNU tar leaves holes out.
func isSparse(h *tar.Header) bool {
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// content takes in the content of a regular file.
func (s *scanner) content(ctx context.Context, name string, size int64, r io.Reader) (entry, error) {
	if limit, ok := s.limits[name]; ok && size > limit {
		return entry{}, tooLarge(size, limit)
	}
	if size > maxSmall || s.memory > maxInMemory {
		d, n, err := s.in.WriteUnknown(ctx, size, r)
		if err != nil {
			return entry{}, Damage(err, s.count)
		}
		return entry{digest: d, size: n}, nil
	}
	small, err := io.ReadAll(r)
	if err != nil {
		return entry{}, Damage(err, s.count)
	}
	s.memory += len(small)
	return entry{digest: digest.FromBytes(small), size: size, small: small}, nil
}

// inside returns the place in the tree of name as seen from the directory dir.
func inside(dir, name string) (string, error) {
	place := path.Join(dir, name)
	if path.IsAbs(name) || place == ".." || strings.HasPrefix(place, "../") {
		return "", fmt.Errorf("it leads out of the archive: %w", errdefs.ErrInvalidArgument)
	}
	return place, nil
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("it has %d bytes, and more than %d are not read: %w", size, limit, errdefs.ErrInvalidArgument)
}

// find returns the file name, links followed.
func (t *Tar) find(name string) (entry, error) {
	at, err := inside("", name)
	if err != nil {
		return entry{}, err
	}
	for range maxLinks {
		e, ok := t.entries[at]
		if !ok {
			return entry{}, fmt.Errorf("find %s: %w", at, errdefs.ErrNotFound)
		}
		if e.link == "" {
			return e, e.leaves
		}
		at = e.link
	}
	return entry{}, fmt.Errorf("too many links: %w", errdefs.ErrInvalidArgument)
}

// Read returns the content of the file name. A file that is not there is errdefs.ErrNotFound, one of
// more than limit bytes errdefs.ErrInvalidArgument.
func (t *Tar) Read(name string, limit int64) ([]byte, error) {
	e, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if e.size > limit {
		return nil, fmt.Errorf("read %s: %w", name, tooLarge(e.size, limit))
	}
	if e.small != nil {
		return e.small, nil
	}
	f, err := t.in.Open(e.digest)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// Take puts the file name into the ingest, where it may be already, and returns it as a blob, verified
// against want, as blob.Ingest.Write does; without a digest in want nothing is known beforehand. A file
// that is not there is errdefs.ErrNotFound.
func (t *Tar) Take(ctx context.Context, name string, want ocispec.Descriptor) (ocispec.Descriptor, error) {
	e, err := t.find(name)
	if err != nil {
		return want, err
	}
	if want.Digest == "" {
		want.Digest, want.Size = e.digest, e.size
	}
	if want.Digest.Algorithm() == digest.SHA256 {
		if err := blob.Compare(want, e.digest, e.size); err != nil || e.small == nil {
			return want, err
		}
	}
	if e.small != nil {
		return want, t.in.Write(ctx, want, bytes.NewReader(e.small))
	}
	f, err := t.in.Open(e.digest)
	if err != nil {
		return want, err
	}
	return want, errors.Join(t.in.Write(ctx, want, f), f.Close())
}
