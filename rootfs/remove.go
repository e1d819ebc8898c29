package rootfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
)

// Removed is what Remove has done, in Docker's order.
type Removed struct {
	Untagged []string // references as people write them: NAME:TAG, NAME@DIGEST
	Deleted  []string // the image's ID, then the ChainIDs of its layers, top first
}

// Lines returns one line for each, as `lrun rmi` prints them.
func (r Removed) Lines() []string {
	var lines []string
	for _, u := range r.Untagged {
		lines = append(lines, "Untagged: "+u)
	}
	for _, d := range r.Deleted {
		lines = append(lines, "Deleted: "+d)
	}
	return lines
}

// InUse tells which container uses the image id, its full ID, a running one rather than a stopped
// one, and also one that has its snapshot and no record yet; "" when none does.
type InUse func(id digest.Digest) (container string, running bool)

// Remove does what `docker rmi` does with nameOrID. A name is taken away from its image, and the
// image goes with its last name; an ID removes the image and its names, unless it has several
// (errdefs.ErrFailedPrecondition without force). With the image go its blobs and those of its layers
// that no other image and no container needs. A container that uses the image is
// ErrFailedPrecondition; force overrides that for a stopped one, which keeps its layers until
// Release, and with a running one takes away a name at most. inUse is asked once, when nobody can take the image any more; nil:
// there are no containers.
//
// What failed to be deleted does not stop the rest, is in the error, and is taken up by Sweep; the
// Removed is right in any case.
func (s *Store) Remove(ctx context.Context, nameOrID string, force bool, inUse func() (InUse, error)) (Removed, error) {
	var done Removed
	var orphans []string
	err := s.chains.Locked(ctx, func() error {
		rec, err := s.Images.Resolve(ctx, nameOrID)
		if err != nil {
			return err
		}
		all, err := s.Images.List(ctx)
		if err != nil {
			return err
		}
		records := slices.DeleteFunc(all, func(r image.Record) bool { return r.Image != rec.Image })
		var use InUse
		if inUse != nil {
			if use, err = inUse(); err != nil {
				return err
			}
		}
		v, err := decide(nameOrID, rec, records, force, use)
		if err != nil {
			return err
		}
		done, orphans, err = s.carryOut(ctx, v, records)
		return err
	})
	return done, errors.Join(err, s.Snapshots.Discard(ctx, orphans))
}

// carryOut does what v says with the image that has records. orphans are bytes to be deleted.
func (s *Store) carryOut(ctx context.Context, v verdict, records []image.Record) (done Removed, orphans []string, err error) {
	if v.drop {
		deleted, orphans, err := s.deleteImage(ctx, records)
		if len(deleted) == 0 {
			return Removed{}, orphans, err
		}
		return Removed{Untagged: v.lines, Deleted: deleted}, orphans, err
	}
	if len(v.forget) > 0 {
		if err := s.Images.Put(ctx, v.forget...); err != nil {
			return Removed{}, nil, err
		}
	}
	if !v.untag.IsZero() {
		if _, err := s.Images.Untag(ctx, v.untag); err != nil {
			return Removed{}, nil, noRoom(err)
		}
	}
	return Removed{Untagged: v.lines}, nil, nil
}

// deleteImage removes the image that has records, all of its, then the layers and blobs that nothing
// else needs. It returns the ID of the image and the ChainIDs of the layers that are gone, and the bytes to be deleted.
func (s *Store) deleteImage(ctx context.Context, records []image.Record) (deleted, orphans []string, err error) {
	chains, digests, damaged := s.parts(ctx, records)
	if err := s.drop(ctx, records[0].Image); err != nil {
		return nil, nil, err
	}
	deleted = []string{records[0].Image.String()}
	m, err := s.mark(ctx)
	if err == nil {
		var gone removed
		gone, err = s.removeChains(ctx, chains, m, "")
		deleted, orphans = append(deleted, gone.chains...), gone.orphans
	}
	err = errors.Join(err, s.removeBlobs(ctx, digests, s.Blobs.Remove))
	if damaged != nil { // its parts cannot be told from here
		more, sweepErr := s.sweepLocked(ctx)
		orphans, err = append(orphans, more...), errors.Join(err, sweepErr)
	}
	return deleted, orphans, err
}

// parts returns the ChainIDs of the image that has records, top first, and the digests of its blobs; damaged is why some
// are missing.
func (s *Store) parts(ctx context.Context, records []image.Record) (chains []string, digests []digest.Digest, damaged error) {
	for _, r := range records { // they may have different manifests for one config
		im, err := s.Images.Load(ctx, r)
		if err != nil {
			damaged = err
			continue
		}
		chains = chains[:0]
		for _, c := range slices.Backward(im.ChainIDs()) {
			chains = append(chains, c.String())
		}
		digests = append(digests, blobsOf(im)...)
	}
	return chains, digests, damaged
}

// verdict is what Remove is going to do.
type verdict struct {
	drop   bool            // remove the image, with all its names
	untag  image.Reference // else take this name away, unless it is zero
	forget []image.Record  // and put these, which have lost their digest
	lines  []string        // what is untagged, as it is shown
}

// decide applies Docker's rules to a request to remove the image with records, or the one name of
// it that rec has.
func decide(nameOrID string, rec image.Record, records []image.Record, force bool, inUse InUse) (verdict, error) {
	var container string
	var running bool
	if inUse != nil {
		container, running = inUse(rec.Image)
	}
	names := references(records)
	ref, isName := nameOf(rec, nameOrID)
	if !isName {
		return decideByID(rec.Image, names, force, container, running)
	}
	if !force && oneRepository(names) && container != "" {
		return verdict{}, errdefs.ErrFailedPrecondition.WithMessage(fmt.Sprintf(
			"conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
			nameOrID, short(container), short(rec.Image.Encoded())))
	}
	left, v := withoutName(rec, records, ref)
	switch {
	case len(left) > 0: // the image has other names
		return v, nil
	case running, !force && container != "":
		return v, nil // the name goes and the image stays, dangling
	}
	v.drop = true
	return v, nil
}

// decideByID is for an image that was named by its ID. names are all its references.
func decideByID(id digest.Digest, names []string, force bool, container string, running bool) (verdict, error) {
	conflict := func(how, why string) (verdict, error) {
		return verdict{}, errdefs.ErrFailedPrecondition.WithMessage(fmt.Sprintf("conflict: unable to delete %s (%s) - %s", short(id.Encoded()), how, why))
	}
	switch {
	case running:
		return conflict("cannot be forced", "image is being used by running container "+short(container))
	case !force && !oneRepository(names):
		return conflict("must be forced", "image is referenced in multiple repositories")
	case !force && container != "":
		return conflict("must be forced", "image is being used by stopped container "+short(container))
	}
	return verdict{drop: true, lines: names}, nil
}

// nameOf returns the name by which nameOrID has found rec; none when it is an ID, or a digest that is
// no name of it.
func nameOf(rec image.Record, nameOrID string) (image.Reference, bool) {
	ref, err := image.ParseReference(nameOrID)
	if err != nil || rec.Ref.IsZero() {
		return image.Reference{}, false
	}
	if d := ref.Digest(); d != "" {
		return ref, d == rec.RepoDigest || d == rec.Ref.Digest()
	}
	ref = ref.WithDefaultTag()
	return ref, ref == rec.Ref
}

// withoutName returns the references that are left when ref, which is rec's or the digest of it, is
// taken away, and how that is done. With the last tag of a repository go the digests of it.
func withoutName(rec image.Record, records []image.Record, ref image.Reference) (left []string, v verdict) {
	if ref.Digest() != "" && rec.Ref.Tag() != "" { // the tag stays
		v.lines = []string{ref.FamiliarName() + "@" + ref.Digest().String()}
		rest := slices.Clone(records)
		for i, r := range rest {
			if r.Ref.Name() == ref.Name() && r.RepoDigest == ref.Digest() {
				rest[i].RepoDigest = ""
				v.forget = append(v.forget, rest[i])
			}
		}
		return references(rest), v
	}
	v.untag = rec.Ref
	v.lines = []string{rec.Ref.Familiar()}
	rest := slices.DeleteFunc(slices.Clone(records), func(r image.Record) bool { return r.Ref == rec.Ref })
	sameRepository := func(r image.Record) bool { return r.Ref.Name() == rec.Ref.Name() }
	if d := rec.RepoDigest; d != "" && !slices.ContainsFunc(rest, sameRepository) {
		if line := rec.Ref.FamiliarName() + "@" + d.String(); line != v.lines[0] {
			v.lines = append(v.lines, line)
		}
	}
	return references(rest), v
}

// references returns all names of one image as Docker lists them: the tags, and for each repository
// the digests under which it is known there, sorted.
func references(records []image.Record) []string {
	var names []string
	for _, r := range records {
		repository := r.Ref.FamiliarName()
		if r.Ref.IsZero() {
			ref, err := image.ParseReference(r.Repository)
			if err != nil { // it never had a name
				continue
			}
			repository = ref.FamiliarName()
		} else {
			names = append(names, r.Ref.Familiar())
		}
		if r.RepoDigest != "" {
			names = append(names, repository+"@"+r.RepoDigest.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// oneRepository tells whether names hold at most one tag, and digests of its repository only: then
// removing the image by its ID takes away nothing that somebody might miss.
func oneRepository(names []string) bool {
	tags := 0
	repositories := map[string]bool{}
	for _, n := range names {
		repository, _, isDigest := strings.Cut(n, "@")
		if !isDigest {
			tags++
			repository = n[:max(strings.LastIndexByte(n, ':'), 0)]
		}
		repositories[repository] = true
	}
	return tags <= 1 && len(repositories) <= 1
}

// short shortens the ID of a container or an image as Docker does.
func short(id string) string {
	const length = 12
	return id[:min(length, len(id))]
}

// Tag gives the image that src names, by reference or ID, the name dst as well; an image that had it
// is left without. A dst with a digest is errdefs.ErrInvalidArgument.
func (s *Store) Tag(ctx context.Context, src, dst string) error {
	ref, err := image.ParseReference(dst)
	if err != nil {
		return err
	}
	if ref.Digest() != "" {
		return fmt.Errorf("tag %q: a name with a digest cannot be given: %w", dst, errdefs.ErrInvalidArgument)
	}
	return s.chains.Locked(ctx, func() error {
		rec, err := s.Images.Resolve(ctx, src)
		if err != nil {
			return err
		}
		return s.Images.Tag(ctx, rec, ref.WithDefaultTag())
	})
}

// drop takes images out of the list of them.
func (s *Store) drop(ctx context.Context, ids ...digest.Digest) error {
	return noRoom(s.Images.Drop(ctx, ids...))
}

// noRoom explains the error of a change of the list of images: it is written anew, so that room is needed also where room is to
// be made.
func noRoom(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("a few kilobytes are needed for the list of the other images; free them first, with 'lrun rm CONTAINER' or outside of lrun: %w", err)
	}
	return err
}
