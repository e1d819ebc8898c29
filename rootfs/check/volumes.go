package check

import "github.com/containerd/errdefs"

// volumes checks the records and directories of volumes.
func (c *checker) volumes() error {
	if c.Volumes == nil {
		return nil
	}
	n, faults, err := c.Volumes.Faults()
	c.sum.Volumes = n
	for _, f := range faults {
		found := Finding{Severity: Unchecked, Kind: "volume", ID: f.Name, Problem: f.Err.Error()}
		if f.Name == "" {
			found.ID = f.Path
		}
		switch {
		case f.Leftover:
			found.Severity = Leftover
		case errdefs.IsDataLoss(f.Err):
			found.Severity, found.Remedy = Damage, f.Remedy
		}
		c.report(found)
	}
	return err
}
