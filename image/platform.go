package image

import (
	"fmt"
	"runtime"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is an operating system, an architecture and a variant of it, in Go's and OCI's words.
type Platform = ocispec.Platform

// HostPlatform returns the platform of this machine.
func HostPlatform() Platform {
	return Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
}

// ParsePlatform parses OS/ARCH[/VARIANT], or ARCH alone, which is of linux.
func ParsePlatform(s string) (Platform, error) {
	return Platform{}, fmt.Errorf("parse platform %q: %w", s, errdefs.ErrNotImplemented)
}

// FormatPlatform is the inverse of ParsePlatform.
func FormatPlatform(p Platform) string {
	return p.OS + "/" + p.Architecture
}

// Match reports whether an image for have can run where want is asked for.
func Match(want, have Platform) bool {
	return Best(want, []Platform{have}) == 0
}

// Best returns the index of the platform in have that suits want best, or -1 when none does.
func Best(_ Platform, _ []Platform) int {
	return -1
}
