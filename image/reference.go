package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/image/grammar"
)

// What Docker takes for granted in a name.
const (
	defaultDomain = "docker.io"
	legacyDomain  = "index.docker.io" // an older name of the same registry
	officialPath  = "library/"
	defaultTag    = "latest"

	maxPath = 255
)

// Reference is a name of an image: DOMAIN/PATH[:TAG][@DIGEST]. It can be compared with == and used as
// a key. The zero Reference names nothing.
type Reference struct {
	domain, path, tag string
	digest            digest.Digest
}

// ParseReference parses s by Docker's grammar and normalises it as Docker does: without a registry it
// is of docker.io, and there without a namespace of library. A first component is a registry if it
// holds a dot, a colon or an upper-case letter, or is localhost. Neither tag nor digest is added: see
// WithDefaultTag. 64 hexadecimal digits are no reference, since they look like an image's ID. The
// error is errdefs.ErrInvalidArgument.
func ParseReference(s string) (Reference, error) {
	r, err := parseReference(s)
	if err != nil {
		return Reference{}, fmt.Errorf("parse reference %q: %w: %w", s, err, errdefs.ErrInvalidArgument)
	}
	return r, nil
}

func parseReference(s string) (Reference, error) {
	if s == "" {
		return Reference{}, errors.New("the name is empty")
	}
	if s[0] == '@' {
		return Reference{}, errors.New("what begins with @ is built into lrun: it can be run, and is not listed, tagged or removed")
	}
	if grammar.IsHex(s) && len(s) == 64 {
		return Reference{}, errors.New("a repository name cannot be 64 hexadecimal digits")
	}
	domain, rest := splitDomain(s)
	path, tag, digested, err := splitSuffixes(rest)
	if err != nil {
		return Reference{}, err
	}
	if !grammar.IsDomain(domain) {
		// It has a dot, but is no host name: the first component of a path in no registry.
		domain, path = "", domain+"/"+path
	}
	if !grammar.IsPath(path) {
		if strings.ToLower(path) != path {
			return Reference{}, fmt.Errorf("the repository name %s must be lowercase", path)
		}
		return Reference{}, errors.New("invalid reference format")
	}
	if len(path) > maxPath {
		return Reference{}, fmt.Errorf("the repository name has more than %d characters", maxPath)
	}
	return Reference{domain: domain, path: path, tag: tag, digest: digested}, nil
}

// splitDomain separates the registry from s and supplies what s takes for granted.
func splitDomain(s string) (domain, rest string) {
	first, after, found := strings.Cut(s, "/")
	switch {
	case !found:
		return defaultDomain, officialPath + s
	case first == legacyDomain:
		domain, rest = defaultDomain, after
	case first == "localhost", strings.ContainsAny(first, ".:"), strings.ToLower(first) != first:
		domain, rest = first, after
	default:
		domain, rest = defaultDomain, s
	}
	if domain == defaultDomain && !strings.Contains(rest, "/") {
		rest = officialPath + rest
	}
	return domain, rest
}

// splitSuffixes separates tag and digest from the path in s and checks both.
func splitSuffixes(s string) (path, tag string, d digest.Digest, err error) {
	path, suffix, digested := strings.Cut(s, "@")
	path, tag, tagged := strings.Cut(path, ":")
	if tagged && !grammar.IsTag(tag) {
		return "", "", "", fmt.Errorf("invalid tag %q", tag)
	}
	if !digested {
		return path, tag, "", nil
	}
	d = digest.Digest(suffix)
	if err := blob.Validate(d); err != nil {
		return "", "", "", fmt.Errorf("invalid digest %q: %w", suffix, err)
	}
	return path, tag, d, nil
}

// IsZero reports whether r is the zero Reference.
func (r Reference) IsZero() bool { return r == Reference{} }

// String returns the full reference, as in docker.io/library/busybox:latest, and "" for the zero one.
func (r Reference) String() string { return r.withSuffixes(r.Name()) }

// Familiar returns the reference as people write it, as in busybox:latest.
func (r Reference) Familiar() string { return r.withSuffixes(r.FamiliarName()) }

// Name returns the full repository, as in docker.io/library/busybox.
func (r Reference) Name() string {
	if r.domain == "" {
		return r.path
	}
	return r.domain + "/" + r.path
}

// FamiliarName returns the repository as people write it, as in busybox.
func (r Reference) FamiliarName() string {
	if r.domain != defaultDomain {
		return r.Name()
	}
	if name, official := strings.CutPrefix(r.path, officialPath); official && !strings.Contains(name, "/") {
		return name
	}
	return r.path
}

// Domain returns the registry, as in docker.io. It is empty for the few names that Docker accepts
// although they are in no registry, such as a_b.c/d.
func (r Reference) Domain() string { return r.domain }

// Path returns the repository within its registry, as in library/busybox.
func (r Reference) Path() string { return r.path }

// Tag returns the tag, or "" without one.
func (r Reference) Tag() string { return r.tag }

// Digest returns the digest, or "" without one.
func (r Reference) Digest() digest.Digest { return r.digest }

// WithTag returns r with tag as its tag. A malformed tag is errdefs.ErrInvalidArgument.
func (r Reference) WithTag(tag string) (Reference, error) {
	if !grammar.IsTag(tag) {
		return Reference{}, fmt.Errorf("tag %s: invalid tag %q: %w", r.Familiar(), tag, errdefs.ErrInvalidArgument)
	}
	r.tag = tag
	return r, nil
}

// WithDigest returns r with d as its digest. A malformed digest is errdefs.ErrInvalidArgument.
func (r Reference) WithDigest(d digest.Digest) (Reference, error) {
	if err := blob.Validate(d); err != nil {
		return Reference{}, fmt.Errorf("name %s@%s: %w", r.Familiar(), d, err)
	}
	r.digest = d
	return r, nil
}

// WithDefaultTag returns r, with the tag latest if it has neither a tag nor a digest.
func (r Reference) WithDefaultTag() Reference {
	if r.tag == "" && r.digest == "" && !r.IsZero() {
		r.tag = defaultTag
	}
	return r
}

// Repository returns r without tag and digest.
func (r Reference) Repository() Reference { return Reference{domain: r.domain, path: r.path} }

func (r Reference) withSuffixes(name string) string {
	if r.tag != "" {
		name += ":" + r.tag
	}
	if r.digest != "" {
		name += "@" + r.digest.String()
	}
	return name
}
