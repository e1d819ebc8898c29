package layer

import (
	"context"
	"io"
	"iter"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/layer/needs"
	"github.com/lrun-dev/lrun/layer/settle"
	"github.com/lrun-dev/lrun/layer/unpack"
)

// Whiteouts writes removals down in a layer's own directory, in the form of the filesystem that will show it.
type Whiteouts = unpack.Whiteouts

// ApplyOptions says how a layer is unpacked.
type ApplyOptions = unpack.Options

// Needs is what a layer that was unpacked alone leaves open until its parents are known. It is for Settle; only a
// layer whose Needs are Empty looks the same on every chain, so that its directory can be shared by DiffID.
type Needs = needs.Needs

// Link is a hard link that waits for its target.
type Link = needs.Link

// Applied is what became of a layer.
type Applied struct {
	// DiffID is the sha256 digest of the whole stream, with everything after the end of the archive.
	DiffID digest.Digest
	// Size is the sum of the sizes of the regular files.
	Size int64
	// Entries is the number of tar entries, whiteouts included.
	Entries int
	// Needs is what Settle has to do before the layer is complete; empty without ApplyOptions.Whiteouts.
	Needs Needs
	// Changes are, without ApplyOptions.Whiteouts, all names that the layer added, changed or removed, with the
	// directories on the way, as manifest.WriteChanges takes them; else nil.
	Changes iter.Seq[manifest.Change]
}

// Apply unpacks the uncompressed tarStream into dir and reads it to its end. It needs root, for owners and devices.
//
// Names are resolved as if dir were the root of the filesystem: nothing outside is read or changed. Symbolic links
// among the parents are followed inside dir. Of several entries of one name the last one wins; a whiteout removes
// what the parents have and never what this layer adds, wherever in the stream it stands (OCI image spec, layer.md).
// Directories that the tar uses without holding them get mode 0755, owner 0:0 and the time 0 where the parents do
// not have them. A hard link means what its target is when its entry comes, and only if nothing is there a later entry of
// that name; a symbolic link of the parents through which entries went must stay. An entry that cannot be made, or that would disturb overlayfs (its own xattrs, a character device
// 0:0), is ErrInvalidArgument and named; a damaged stream is ErrDataLoss.
//
// On any error, and when ctx ends, dir holds part of the layer and is to be thrown away. tarStream is not used after
// Apply returns; a Read that blocks is waited for. Nothing is synced.
func Apply(ctx context.Context, dir *os.File, tarStream io.Reader, o ApplyOptions) (Applied, error) {
	s := newStream(ctx, tarStream)
	defer s.close()
	r, err := unpack.Unpack(ctx, dir, s, o)
	if err != nil {
		return Applied{}, err
	}
	id, err := s.drain()
	if err != nil {
		return Applied{}, err
	}
	return Applied{DiffID: id, Size: r.Size, Entries: r.Entries, Needs: r.Needs, Changes: r.Changes}, nil
}

// Settle joins the layer in dir, unpacked with ApplyOptions.Whiteouts, to its parents, so that mounted on them by
// overlayfs it looks as if it had been unpacked on top of them. parents is the merged read-only view of all layers
// below, nil if there is none; it is only read. The layer must not be mounted.
//
//   - A directory that the tar only implied gets the metadata of the one below. Where below there is a link to a
//     directory, what the layer has in it moves to where the link leads.
//   - A hard link to a file below copies that file, with all metadata, up into the layer first. Other names that the
//     file has below stay apart (overlayfs with index=off).
//   - Whiteouts in a directory that does not exist below go, as do directories that hold nothing else.
//   - A layer that hides the whole tree below gets a whiteout for every name in its root.
//
// A hard link whose target is nowhere or was hidden by the layer before, a parent that is a file below, and a link below
// that the layer replaces or removes after entries went through it are ErrInvalidArgument and named. After
// an error the layer is to be thrown away. Nothing is synced.
func Settle(ctx context.Context, dir *os.File, n Needs, parents *os.File) error {
	return settle.Settle(ctx, dir, n, parents)
}
