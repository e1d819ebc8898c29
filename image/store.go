package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// Store keeps the images of one root as an OCI image layout, which other tools can read.
//
// Locking: the methods that change the index (Put, Tag, Untag, Drop) read it, change it and replace
// it, so the caller must hold the root's lock exclusively, ROOT/lock, over the call and over whatever
// it decided from an earlier one. The others need no lock: the index is only ever replaced as a
// whole. An image whose record is there may lose it, and its blobs, to another process at any time
// unless that lock is held, shared or exclusively.
type Store struct {
	dir   string
	blobs *blob.Store
}

// Open returns the store of the image layout in dir, which is made, durably, if it is missing.
// Manifests and configs are read from blobs, which is the store of the same layout; when that syncs nothing, nor does this.
func Open(dir string, blobs *blob.Store) (*Store, error) {
	s := &Store{dir: dir, blobs: blobs}
	_, err := os.Stat(filepath.Join(dir, ocispec.ImageLayoutFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = s.create()
	}
	if err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	return s, nil
}

// create makes an empty layout. The file that makes it one comes last; another process may do the same.
func (s *Store) create() error {
	if err := os.MkdirAll(filepath.Join(s.dir, ocispec.ImageBlobsDir), 0o755); err != nil {
		return err
	}
	for _, f := range []struct{ name, content string }{
		{ocispec.ImageIndexFile, `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`},
		{ocispec.ImageLayoutFile, `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`},
	} {
		err := atomicfile.Create(filepath.Join(s.dir, f.name), []byte(f.content), 0o644, s.blobs.Sync())
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return s.blobs.Sync().Dir(filepath.Dir(filepath.Clean(s.dir)))
}

// List returns all records in the order in which they were put, dangling ones too. It reads index.json
// and nothing else. Entries that other tools made are not listed: lrun has not unpacked them.
func (s *Store) List(ctx context.Context) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, err := s.records()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return records, nil
}

// Load reads the manifest and the config of rec and verifies both. Bytes that are missing or wrong are
// errdefs.ErrDataLoss; when the record is gone as well, it is errdefs.ErrNotFound.
func (s *Store) Load(ctx context.Context, rec Record) (Image, error) {
	// Between two looks the image may have been removed and added again: what is missing time after time is lost.
	const looks = 4
	var err error
	for range looks {
		var im Image
		if im, err = s.load(rec); err == nil {
			return im, nil
		}
		if !errors.Is(err, errdefs.ErrNotFound) {
			return Image{}, fmt.Errorf("load image %s: %w", rec.Image, err)
		}
		if records, listErr := s.List(ctx); listErr == nil && !slices.ContainsFunc(records, rec.sameImage) {
			return Image{}, fmt.Errorf("load image %s: it is not in the store, or not any more: %w", rec.Image, errdefs.ErrNotFound)
		}
	}
	// By its text only: the image is there, so nobody may take it for one that is not.
	return Image{}, fmt.Errorf("load image %s: %s: load or pull the image again: %w", rec.Image, err.Error(), errdefs.ErrDataLoss)
}

func (s *Store) load(rec Record) (Image, error) {
	manifest, err := s.document(rec.Manifest.Digest)
	if err != nil {
		return Image{}, err
	}
	config, err := s.document(rec.Image)
	if err != nil {
		return Image{}, err
	}
	im, err := ParseImage(rec.Manifest, manifest, config)
	if err == nil && im.ID != rec.Image {
		err = fmt.Errorf("manifest %s has the config %s: %w", rec.Manifest.Digest, im.ID, errdefs.ErrDataLoss)
	}
	return im, err
}

// document reads the small blob d.
func (s *Store) document(d digest.Digest) ([]byte, error) {
	f, err := s.blobs.Open(d)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxDocument+1))
	return data, errors.Join(err, f.Close())
}

// Put adds records, all or none, durably; their blobs must be durable already. A record replaces the
// one with the same Ref. If that was of another image without any other name, the other image stays as
// a dangling record. A record without a Ref is for an image that has no name: it changes nothing if
// the image has one, and it goes when the image gets one.
func (s *Store) Put(ctx context.Context, recs ...Record) error {
	for _, r := range recs {
		if err := r.check(); err != nil {
			return fmt.Errorf("put image %s: %w", r.Image, err)
		}
	}
	return s.update(ctx, "put images", func(records []Record) ([]Record, error) {
		for _, r := range recs {
			records = put(records, r)
		}
		return records, nil
	})
}

// put returns records with r in it.
func put(records []Record, r Record) []Record {
	if r.Ref.IsZero() {
		i := slices.IndexFunc(records, func(o Record) bool { return o.Image == r.Image })
		switch {
		case i < 0:
			return append(records, r)
		case records[i].Ref.IsZero():
			r.Repository = cmp.Or(r.Repository, records[i].Repository)
			records[i] = r
		}
		return records
	}
	records = slices.DeleteFunc(records, func(o Record) bool { return o.Image == r.Image && o.Ref.IsZero() })
	i := slices.IndexFunc(records, func(o Record) bool { return o.Ref == r.Ref })
	if i < 0 {
		return append(records, r)
	}
	old := records[i]
	records[i] = r
	if slices.ContainsFunc(records, func(o Record) bool { return o.Image == old.Image }) {
		return records
	}
	old.Ref, old.Repository = Reference{}, old.Ref.Name()
	return append(records, old)
}

// Tag gives the image of rec the name ref, with the tag latest if it has none, as well: see Put for
// what happens to an image that had it. A ref with a digest is errdefs.ErrInvalidArgument, a record
// that is not in the store errdefs.ErrNotFound.
func (s *Store) Tag(ctx context.Context, rec Record, ref Reference) error {
	ref = ref.WithDefaultTag()
	if ref.Digest() != "" || ref.IsZero() {
		return fmt.Errorf("tag image %s as %q: a new name has no digest: %w", rec.Image, ref.Familiar(), errdefs.ErrInvalidArgument)
	}
	return s.update(ctx, "tag "+ref.Familiar(), func(records []Record) ([]Record, error) {
		i := slices.IndexFunc(records, rec.sameImage)
		if i < 0 {
			return nil, fmt.Errorf("image %s: %w", rec.Image, errdefs.ErrNotFound)
		}
		tagged := records[i]
		if j := slices.IndexFunc(records, func(o Record) bool { return rec.sameImage(o) && rec.Ref == o.Ref }); j >= 0 {
			tagged = records[j]
		}
		if tagged.Ref.Name() != ref.Name() && tagged.Repository != ref.Name() {
			tagged.RepoDigest = "" // it was published under another name
		}
		tagged.Ref, tagged.Repository = ref, ""
		return put(records, tagged), nil
	})
}

// Untag takes the name ref, with the tag latest if it has none, away from its image and returns the
// record that had it. The image stays, as a dangling record if that was its last name: Drop removes
// it. A name that is not there is errdefs.ErrNotFound.
func (s *Store) Untag(ctx context.Context, ref Reference) (Record, error) {
	ref = ref.WithDefaultTag()
	var had Record
	err := s.update(ctx, "untag "+ref.Familiar(), func(records []Record) ([]Record, error) {
		i := slices.IndexFunc(records, func(o Record) bool { return !ref.IsZero() && o.Ref == ref })
		if i < 0 {
			return nil, errdefs.ErrNotFound
		}
		had = records[i]
		dangling := had
		dangling.Ref = Reference{}
		return put(slices.Delete(records, i, i+1), dangling), nil
	})
	return had, err
}

// Drop removes all records of the images ids, in one step. Their blobs stay: see Blobs. When none of
// them is there, that is errdefs.ErrNotFound.
func (s *Store) Drop(ctx context.Context, ids ...digest.Digest) error {
	return s.update(ctx, fmt.Sprintf("drop images %v", ids), drop(ids))
}

// drop is the change that Drop makes.
func drop(ids []digest.Digest) func([]Record) ([]Record, error) {
	return func(records []Record) ([]Record, error) {
		kept := slices.DeleteFunc(slices.Clone(records), func(o Record) bool { return slices.Contains(ids, o.Image) })
		if len(kept) == len(records) {
			return nil, errdefs.ErrNotFound
		}
		return kept, nil
	}
}

// IndexWithout returns the path of the index, and how many bytes it would have after a Drop of ids.
func (s *Store) IndexWithout(ids ...digest.Digest) (path string, size int64, err error) {
	data, err := s.changed(drop(ids))
	return s.indexPath(), int64(len(data)), err
}

// sameImage reports whether o is of the same image with the same manifest.
func (r Record) sameImage(o Record) bool {
	return r.Image == o.Image && r.Manifest.Digest == o.Manifest.Digest
}

// check returns an error unless r can be written down and read back.
func (r Record) check() error {
	if err := validDescriptor(r.Manifest); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	for _, d := range []digest.Digest{r.Image, r.RepoDigest} {
		if err := blob.Validate(d); err != nil && (d != "" || r.Image == "") {
			return err
		}
	}
	if !r.Ref.IsZero() && r.Ref.Tag() == "" && r.Ref.Digest() == "" {
		return fmt.Errorf("name %s has neither tag nor digest: %w", r.Ref, errdefs.ErrInvalidArgument)
	}
	return nil
}
