package filesystem

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Covering returns the destination of the mount that the directory of path is on, or "" for the container's root. Both are
// clean.
func Covering(mounts []specs.Mount, path string) string {
	longest := ""
	for _, m := range mounts {
		if strings.HasPrefix(path, m.Destination+"/") && len(m.Destination) > len(longest) {
			longest = m.Destination
		}
	}
	return longest
}
