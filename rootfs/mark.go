package rootfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
)

// marks holds the chains that images need.
type marks map[string]bool

// mark reads all images. When one of them cannot be read, nobody knows what it needs: that is an
// error, and nothing may be removed for not being marked.
func (s *Store) mark(ctx context.Context) (marks, error) {
	records, err := s.Images.List(ctx)
	if err != nil {
		return nil, err
	}
	m, seen := marks{}, map[digest.Digest]bool{}
	for _, r := range records {
		if seen[r.Manifest.Digest] {
			continue
		}
		seen[r.Manifest.Digest] = true
		im, err := s.Images.Load(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("nothing is removed, for it is not known what image %s needs: %w", r.Image, err)
		}
		for _, c := range im.ChainIDs() {
			m[c.String()] = true
		}
	}
	return m, nil
}

// committedWhere returns the committed snapshots for which want is true, children before parents.
func (s *Store) committedWhere(ctx context.Context, want func(snapshot.Info) bool) ([]string, error) {
	parents := map[string]string{}
	var names []string
	err := s.Snapshots.Walk(ctx, func(info snapshot.Info) error {
		if info.Kind != snapshot.Committed {
			return nil
		}
		parents[info.Key] = info.Parent
		if want(info) {
			names = append(names, info.Key)
		}
		return nil
	})
	if errdefs.IsDataLoss(err) { // one that cannot be read is none
		err = nil
	}
	depth := func(name string) int {
		n := 0
		for ; name != "" && n <= len(parents); n++ {
			name = parents[name]
		}
		return n
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(depth(b), depth(a)), cmp.Compare(a, b))
	})
	return names, err
}

// anyBuiltIn makes removeChains remove the layers of any built-in image.
const anyBuiltIn = "*"

// removed is what removeChains has done.
type removed struct {
	chains  []string // names of snapshots that are gone
	orphans []string // their bytes, for snapshot.Store.Discard once the root is no longer locked
}

// removeChains removes the records of those committed snapshots of names, children before parents, that are not
// marked, that no other snapshot stands on, and that belong to no built-in image but builtIn. One that cannot be
// removed does not stop the rest. The root is locked.
func (s *Store) removeChains(ctx context.Context, names []string, m marks, builtIn string) (removed, error) {
	var unmarked []string
	var errs []error
	for _, name := range names {
		if m[name] {
			continue
		}
		info, err := s.Snapshots.Stat(ctx, name)
		if of := info.Labels[LabelBuiltIn]; of != "" && of != builtIn && builtIn != anyBuiltIn {
			continue
		}
		if err == nil {
			unmarked = append(unmarked, name)
		} else if err := s.clear(name, err); err != nil {
			errs = append(errs, err)
		}
	}
	gone, orphans, err := s.Snapshots.Forget(ctx, unmarked)
	return removed{chains: gone, orphans: orphans}, errors.Join(append(errs, err)...)
}

// clear removes the record of name when it is one that counts as none, as err, of looking it up, says.
func (s *Store) clear(name string, err error) error {
	if chain.Absent(err) {
		return s.Snapshots.Clear(name)
	}
	return err
}

// retract removes those of the committed snapshots names, which a failed task has made, that no
// image has come to need. The root is locked.
func (s *Store) retract(ctx context.Context, names []string) error {
	m, err := s.mark(ctx)
	if err != nil {
		return err // the sweep will know when the images can be read again
	}
	gone, err := s.removeChains(ctx, names, m, anyBuiltIn)
	return errors.Join(err, s.Snapshots.Discard(ctx, gone.orphans))
}

// removeBlobs calls remove for those of digests that no image needs. The root is locked.
func (s *Store) removeBlobs(ctx context.Context, digests []digest.Digest, remove func(digest.Digest) error) error {
	needed, err := s.Images.Blobs(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range digests {
		if _, ok := needed[d]; !ok {
			errs = append(errs, remove(d))
		}
	}
	return errors.Join(errs...)
}
