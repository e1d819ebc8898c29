package image

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Reference is a name of an image: DOMAIN/PATH[:TAG][@DIGEST]. It can be compared with ==. The zero
// Reference names nothing.
type Reference struct {
	domain, path, tag string
	digest            digest.Digest
}

// ParseReference parses s as Docker does; what it omits is docker.io and library/. No tag is added: see WithDefaultTag.
func ParseReference(s string) (Reference, error) {
	return Reference{}, fmt.Errorf("parse reference %q: %w", s, errdefs.ErrNotImplemented)
}

// IsZero reports whether r is the zero Reference.
func (r Reference) IsZero() bool { return r == Reference{} }

// String returns the full reference, as in docker.io/library/busybox:latest.
func (r Reference) String() string { return r.suffixed(r.Name()) }

// Familiar returns the short reference, as in busybox:latest.
func (r Reference) Familiar() string { return r.suffixed(r.FamiliarName()) }

// Name returns the full repository, as in docker.io/library/busybox.
func (r Reference) Name() string {
	if r.domain == "" {
		return ""
	}
	return r.domain + "/" + r.path
}

// FamiliarName returns the short repository, as in busybox.
func (r Reference) FamiliarName() string { return r.Name() }

// Domain returns the registry, as in docker.io.
func (r Reference) Domain() string { return r.domain }

// Path returns the repository within its registry, as in library/busybox.
func (r Reference) Path() string { return r.path }

// Tag returns the tag, or "".
func (r Reference) Tag() string { return r.tag }

// Digest returns the digest, or "".
func (r Reference) Digest() digest.Digest { return r.digest }

// WithTag returns r with its tag replaced.
func (r Reference) WithTag(tag string) (Reference, error) {
	r.tag = tag
	return r, nil
}

// WithDigest returns r with its digest replaced.
func (r Reference) WithDigest(d digest.Digest) (Reference, error) {
	r.digest = d
	return r, nil
}

// WithDefaultTag returns r with the tag latest if it has neither a tag nor a digest.
func (r Reference) WithDefaultTag() Reference {
	if r.tag == "" && r.digest == "" && !r.IsZero() {
		r.tag = "latest"
	}
	return r
}

// Repository returns r without tag and digest.
func (r Reference) Repository() Reference { return Reference{domain: r.domain, path: r.path} }

func (r Reference) suffixed(name string) string {
	if r.tag != "" {
		name += ":" + r.tag
	}
	if r.digest != "" {
		name += "@" + r.digest.String()
	}
	return name
}
