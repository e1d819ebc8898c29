package archive

import (
	"errors"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxTarget is the longest target of a symlink that Linux has.
const maxTarget = 4096

// locate returns the file of the blob that desc describes. Layouts are kept in version control with
// links among their blobs, and a checkout or a download without links has small files with the
// targets in their place (git's core.symlinks=false). Such a file is followed like the link; it can
// only lead to bytes that have the right digest, which is verified as for any other.
func (r *reader) locate(desc ocispec.Descriptor) string {
	name := blobName(desc.Digest)
	content, err := r.files.Read(name, maxTarget)
	if err != nil || int64(len(content)) == desc.Size {
		return name
	}
	target := string(content)
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\n\x00") {
		return name
	}
	target = path.Join(path.Dir(name), target)
	if strings.HasPrefix(target, "../") {
		return name
	}
	// What is too large to be read like this is there, too.
	if _, err := r.files.Read(target, maxTarget); err != nil && !errors.Is(err, errdefs.ErrInvalidArgument) {
		return name
	}
	return target
}
