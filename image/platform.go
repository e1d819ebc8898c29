package image

import (
	"cmp"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/grammar"
)

// Platform is an operating system, an architecture and a variant of it, in Go's and OCI's words.
type Platform = ocispec.Platform

// HostPlatform returns the platform of this machine, without its variant where that is the usual one.
func HostPlatform() Platform {
	return normalize(Platform{OS: "linux", Architecture: runtime.GOARCH})
}

// ParsePlatform parses OS/ARCH[/VARIANT], or one of OS and ARCH alone, and the host's other then.
// Other common words for an architecture (x86_64, aarch64) are taken too. What is malformed is
// errdefs.ErrInvalidArgument; that a platform exists is not checked.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(strings.ToLower(s), "/")
	for _, p := range parts {
		if !grammar.IsWord(p) {
			return Platform{}, fmt.Errorf("parse platform %q: not of the form OS/ARCH[/VARIANT]: %w", s, errdefs.ErrInvalidArgument)
		}
	}
	host := HostPlatform()
	switch len(parts) {
	case 1:
		if parts[0] == host.OS {
			return host, nil
		}
		return normalize(Platform{OS: host.OS, Architecture: parts[0]}), nil
	case 2:
		return normalize(Platform{OS: parts[0], Architecture: parts[1]}), nil
	case 3:
		return normalize(Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}), nil
	}
	return Platform{}, fmt.Errorf("parse platform %q: not of the form OS/ARCH[/VARIANT]: %w", s, errdefs.ErrInvalidArgument)
}

// FormatPlatform returns OS/ARCH[/VARIANT], which ParsePlatform takes back; what is missing is "unknown". It is one line, whatever an
// image says that it is for: what cannot be printed is escaped, and then it is in quotation marks.
func FormatPlatform(p Platform) string {
	s := cmp.Or(p.OS, "unknown") + "/" + cmp.Or(p.Architecture, "unknown")
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// IsFor reports whether an image for have is for exactly what is asked for; a variant counts only if one is. Match also
// takes what merely runs there. As there, upper case means nothing, and x86_64 is amd64: some tools write so.
func IsFor(asked, have Platform) bool {
	want, h := normalize(asked), normalize(have)
	return h.OS == want.OS && h.Architecture == want.Architecture && (asked.Variant == "" || h.Variant == want.Variant)
}

// Match reports whether an image for have can be used where want is asked for: see Best.
func Match(want, have Platform) bool {
	return Best(want, []Platform{have}) == 0
}

// Best returns the index of the platform in have that suits want best, the first among equals, or -1
// when none does. As in Docker a processor also runs what is for older variants of it, and at last
// what is for its 32-bit predecessor: amd64 runs 386, arm64 runs arm.
func Best(want Platform, have []Platform) int {
	for _, w := range accepted(normalize(want)) {
		for i, h := range have {
			h = normalize(h)
			if h.OS == w.OS && h.Architecture == w.Architecture && h.Variant == w.Variant {
				return i
			}
		}
	}
	return -1
}

// accepted lists what runs on p, best first. p is normalized.
func accepted(p Platform) []Platform {
	list := []Platform{p}
	add := func(arch, variant string) {
		list = append(list, Platform{OS: p.OS, Architecture: arch, Variant: variant})
	}
	switch p.Architecture {
	case "amd64":
		for v := level(p.Variant) - 1; v >= 1; v-- {
			add("amd64", variantName("amd64", v))
		}
		add("386", "")
	case "arm64":
		if p.Variant != "" {
			add("arm64", "")
		}
		for v := 8; v >= 5; v-- {
			add("arm", variantName("arm", v))
		}
	case "arm":
		for v := level(p.Variant) - 1; v >= 5; v-- {
			add("arm", variantName("arm", v))
		}
	}
	return list
}

// level returns the number in a variant such as v7, and 0 for anything else.
func level(variant string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(variant, "v"))
	if err != nil || n > 9 {
		return 0
	}
	return n
}

func variantName(arch string, v int) string {
	if arch == "amd64" && v == 1 {
		return ""
	}
	return "v" + strconv.Itoa(v)
}

// normalize gives every platform one spelling: Go's word for the architecture, and no variant where
// it is the one that everybody means (amd64/v1, arm64/v8), but always one for arm.
func normalize(p Platform) Platform {
	n := Platform{OS: strings.ToLower(p.OS), Architecture: strings.ToLower(p.Architecture), Variant: strings.ToLower(p.Variant)}
	switch n.Architecture {
	case "i386", "i686":
		n.Architecture = "386"
	case "x86_64", "x86-64":
		n.Architecture = "amd64"
	case "aarch64":
		n.Architecture = "arm64"
	case "armhf":
		n.Architecture, n.Variant = "arm", "v7"
	case "armel":
		n.Architecture, n.Variant = "arm", "v6"
	}
	if grammar.IsNumber(n.Variant) {
		n.Variant = "v" + n.Variant
	}
	switch n.Architecture + n.Variant {
	case "amd64v1", "arm64v8", "386":
		n.Variant = ""
	case "arm":
		n.Variant = "v7"
	}
	return n
}
