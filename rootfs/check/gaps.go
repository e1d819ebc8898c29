package check

import (
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
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
		if !c.lacks(d, upper, key) { // removed meanwhile, and this one too
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

// lacks tells that key is not there while upper is, all the time: either may be removed and made again, but one and the same upper has what
// it stands on.
func (c *checker) lacks(d Driver, upper, key string) bool {
	before, err := d.Snapshots.Stat(c.ctx, upper)
	if err != nil {
		return false
	}
	if _, err := d.Snapshots.Stat(c.ctx, key); !chain.Absent(err) {
		return false
	}
	after, err := d.Snapshots.Stat(c.ctx, upper)
	return err == nil && same(before, after)
}

// same tells that one snapshot was not removed and made again, perhaps with the same bytes.
func same(a, b snapshot.Info) bool { return a.ID == b.ID && a.Created.Equal(b.Created) }
