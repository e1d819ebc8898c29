// Package identity names trees that are made of layers.
package identity

import "github.com/opencontainers/go-digest"

// ChainIDs returns the ChainID of every prefix of diffIDs, one for each layer, bottom first: the DiffID of the lowest
// layer, then the digest of the ChainID below, a space and the DiffID (OCI image spec, config.md).
func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	ids := make([]digest.Digest, len(diffIDs))
	for i, d := range diffIDs {
		if i == 0 {
			ids[i] = d
			continue
		}
		ids[i] = digest.FromString(ids[i-1].String() + " " + d.String())
	}
	return ids
}
