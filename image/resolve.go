package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image/grammar"
)

// Resolve finds what nameOrID means, as Docker does, in this order:
//   - 64 hexadecimal digits, with or without "sha256:" before them: the image with that ID;
//   - NAME[:TAG]@DIGEST: an image of that repository with that digest, of its manifest, of the index
//     that it came from, or its ID; the tag is not looked at;
//   - NAME[:TAG]: the image that has this name, with the tag latest if none is given;
//   - any number of leading digits of an ID, with or without "sha256:", if they begin only one.
//
// Of several records of one image it returns the first. What is not found is errdefs.ErrNotFound; an
// ambiguous beginning of an ID, and what is neither a reference nor one, is errdefs.ErrInvalidArgument.
func (s *Store) Resolve(ctx context.Context, nameOrID string) (Record, error) {
	records, err := s.List(ctx)
	if err != nil {
		return Record{}, err
	}
	r, err := resolve(records, nameOrID)
	if err != nil {
		return Record{}, fmt.Errorf("find image %s: %w", nameOrID, err)
	}
	return r, nil
}

func resolve(records []Record, nameOrID string) (Record, error) {
	prefix := strings.TrimPrefix(nameOrID, "sha256:")
	hexadecimal := grammar.IsHex(prefix) && len(prefix) <= 64
	if hexadecimal && len(prefix) == 64 {
		return byPrefix(records, prefix)
	}
	ref, err := ParseReference(nameOrID)
	if err == nil {
		if r, ok := byReference(records, ref); ok {
			return r, nil
		}
	}
	if hexadecimal {
		return byPrefix(records, prefix)
	}
	if err == nil {
		err = errdefs.ErrNotFound
	}
	return Record{}, err
}

// byReference returns the record that ref names.
func byReference(records []Record, ref Reference) (Record, bool) {
	d, name := ref.Digest(), ref.Name()
	ref = ref.WithDefaultTag()
	for _, r := range records {
		if d == "" && r.Ref == ref {
			return r, true
		}
		if d != "" && (r.Ref.Name() == name || r.Repository == name) && r.hasDigest(d) {
			return r, true
		}
	}
	return Record{}, false
}

func (r Record) hasDigest(d digest.Digest) bool {
	return r.RepoDigest == d || r.Manifest.Digest == d || r.Image == d || r.Ref.Digest() == d
}

// byPrefix returns the record of the only image whose ID begins with the hexadecimal digits prefix.
func byPrefix(records []Record, prefix string) (Record, error) {
	var found Record
	for _, r := range records {
		if r.Image == found.Image || !strings.HasPrefix(r.Image.String(), "sha256:"+prefix) {
			continue
		}
		if found.Image != "" {
			return Record{}, fmt.Errorf("it is ambiguous, several IDs begin so, %s and %s among them: give more digits: %w",
				found.Image.Encoded()[:12], r.Image.Encoded()[:12], errdefs.ErrInvalidArgument)
		}
		found = r
	}
	if found.Image == "" {
		return Record{}, errdefs.ErrNotFound
	}
	return found, nil
}
