// Package layer turns image layers into directories and back.
//
// A layer is a tar stream of changes to the tree below it: entries to add or replace, and whiteouts that name what
// to remove (OCI image spec, layer.md). Apply unpacks one layer, Settle joins a layer that was unpacked alone to the
// layers below it, WriteTar writes a whole tree. All of them work on descriptors: no name of a tar or of a tree is
// ever resolved outside the directory given.
package layer

import (
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer/identity"
)

// ChainID returns the identity of the tree that the layers diffIDs make, bottom first: the DiffID of a single layer,
// else the digest of the ChainID below, a space and the DiffID (OCI image spec, config.md). No layers: "".
func ChainID(diffIDs []digest.Digest) digest.Digest {
	ids := ChainIDs(diffIDs)
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

// ChainIDs returns the ChainID of every prefix of diffIDs: one for each layer, bottom first.
func ChainIDs(diffIDs []digest.Digest) []digest.Digest { return identity.ChainIDs(diffIDs) }
