package check

import (
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/rootfs/chain"
)

// gaps reports the layers of images that are not there while others stand on them. above are those that stand on a key.
func (c *checker) gaps(d Driver, above map[string]string) error {
	told := map[string]bool{}
	for _, ids := range c.stacks {
		if err := c.gapsOf(d, ids, above, told); err != nil {
			return err
		}
	}
	return nil
}

// gapsOf is gaps of one image that has not been told of.
func (c *checker) gapsOf(d Driver, ids []digest.Digest, above map[string]string, told map[string]bool) error {
	upper := "" // some snapshot above
	for _, id := range slices.Backward(ids) {
		key := id.String()
		if upper == "" {
			upper = above[key]
		}
		_, err := d.Snapshots.Stat(c.ctx, key)
		if err != nil && !chain.Absent(err) {
			return err
		}
		if err == nil {
			upper = key
			continue
		}
		if upper == "" || told[key] {
			continue
		}
		if _, err := d.Snapshots.Stat(c.ctx, upper); err != nil { // removed meanwhile, and this one too
			continue
		}
		told[key] = true
		c.report(Finding{
			Severity: Damage, Kind: "layer", ID: key, Driver: d.Name, Images: slices.Clone(c.users[key]), Depth: c.depths[key],
			Problem: "it is not there, and others stand on it",
		})
	}
	return nil
}
