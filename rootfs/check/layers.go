package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer/identity"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
)

// layers checks the records of all snapshots and the files of all layers.
func (c *checker) layers() error {
	for _, d := range c.Drivers {
		if l := d.Lost; l != nil {
			c.report(Finding{Severity: Damage, Kind: "record", ID: l.Records, Driver: d.Name, Problem: l.Problem(), Remedy: l.Remedy()})
			continue
		}
		faults, err := d.Snapshots.Faults(c.ctx)
		if err != nil {
			return err
		}
		for _, f := range faults {
			c.fault(d, f)
		}
		if err := c.chains(d); err != nil {
			return err
		}
	}
	return nil
}

// fault reports what is wrong with the bookkeeping of snapshots.
func (c *checker) fault(d Driver, f snapshot.Fault) {
	if _, ours := c.users[f.Key]; c.Only != nil && !ours {
		return
	}
	found := Finding{Severity: Damage, Kind: "record", ID: f.Path, Driver: d.Name, Problem: f.Err.Error(), Images: slices.Clone(c.users[f.Key])}
	if f.Leftover {
		found.Severity = Leftover
	}
	if f.Absent {
		found.Key = f.Key
	}
	if f.Absent && len(f.Key) == containerID && c.Containers != nil && !c.Containers.Gone(f.Key) {
		found.Remedy = removal(f.Key)
	}
	c.report(found)
}

// chains checks the layers of one driver, each directory once however many chains share it.
func (c *checker) chains(d Driver) error {
	byID := map[string][]snapshot.Info{}
	above := map[string]string{} // one that stands on a key
	var ids []string
	err := d.Snapshots.Walk(c.ctx, func(info snapshot.Info) error {
		above[info.Parent] = info.Key
		if _, ours := c.users[info.Key]; info.Kind != snapshot.Committed || c.Only != nil && !ours {
			return nil
		}
		if byID[info.ID] == nil {
			ids = append(ids, info.ID)
		}
		byID[info.ID] = append(byID[info.ID], info)
		return nil
	})
	if err != nil && !errdefs.IsDataLoss(err) { // the records that are damaged were told
		return err
	}
	for _, id := range ids {
		if err := c.layer(d, byID[id]); err != nil {
			return err
		}
	}
	return c.gaps(d, above)
}

// layer checks the snapshots that share one directory.
func (c *checker) layer(d Driver, infos []snapshot.Info) error {
	c.sum.Layers++
	var images []string
	for _, info := range infos {
		images = append(images, c.users[info.Key]...)
		if problem := wrongName(info); problem != "" {
			c.report(Finding{Severity: Damage, Kind: "layer", ID: info.Key, Driver: d.Name, Images: slices.Clone(c.users[info.Key]), Problem: problem})
		}
	}
	first := infos[0]
	found := Finding{Severity: Damage, Kind: "layer", ID: first.Key, Driver: d.Name, Images: images, Depth: c.depths[first.Key]}
	var list []Finding
	if _, err := d.Snapshots.Chain(c.ctx, first.Key); !d.Snapshots.Rebases() && errdefs.IsDataLoss(err) { // which was told
		found.Severity, found.Problem = Unchecked, "it cannot be checked before what is below it is repaired"
		c.report(found)
		return nil
	}
	files, err := Layer(c.ctx, d.Snapshots, first.Key, c.Deep, func(path, problem string) {
		f := found
		f.Path, f.Problem = path, problem
		list = append(list, f)
	})
	c.sum.Files += files
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	now, statErr := d.Snapshots.Stat(c.ctx, first.Key)
	switch {
	case errdefs.IsNotFound(statErr) || statErr == nil && !same(now, first): // removed meanwhile
		return nil
	case errors.Is(err, ErrNoManifest):
		found.Severity, found.Problem = Unchecked, "it cannot be checked file by file: "+err.Error()
		list = append(list, found)
	case errdefs.IsNotImplemented(err): // of another version
		found.Severity, found.Problem = Unchecked, err.Error()
		list = append(list, found)
	case err != nil:
		found.Problem = err.Error()
		list = append(list, found)
	}
	for _, f := range list {
		c.report(f)
	}
	return nil
}

// wrongName says what is wrong when the name of a layer is not the ChainID of what its record says.
func wrongName(info snapshot.Info) string {
	diffID := digest.Digest(info.Labels[chain.LabelDiffID])
	if diffID == "" {
		return ""
	}
	ids := []digest.Digest{diffID}
	if info.Parent != "" {
		ids = []digest.Digest{digest.Digest(info.Parent), diffID}
	}
	// The second ChainID is made of the first and the DiffID, whatever the first stands for.
	if want := identity.ChainIDs(ids)[len(ids)-1]; want.String() != info.Key {
		return fmt.Sprintf("its record says layer %s on %q, which makes the ChainID %s", diffID, info.Parent, want)
	}
	return ""
}

// ErrNoManifest says that a layer was made when lrun wrote no manifests yet.
var ErrNoManifest = errors.New("there is no manifest of its files")

// Layer compares the files of the committed snapshot key with its manifest and calls differ for each that is not as it
// was. deep compares the bytes too. It returns how many files it has compared. An error is ErrNoManifest, or says that
// the manifest, or the layer itself, cannot be read.
func Layer(ctx context.Context, s *snapshot.Store, key string, deep bool, differ func(path, problem string)) (int, error) {
	want, stop, err := expected(ctx, s, key)
	if err != nil {
		return 0, err
	}
	defer stop()
	path, err := s.Path(ctx, key)
	if err != nil {
		return 0, err
	}
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		differ("/", "it is missing")
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	c := &comparison{deep: deep, merged: !s.Rebases(), differ: differ}
	err = c.run(want, manifest.Scan(ctx, dir, deep))
	return c.files, err
}

// expected ranges over what the directory of key should hold.
func expected(ctx context.Context, s *snapshot.Store, key string) (iter.Seq2[manifest.Entry, error], func(), error) {
	keys := []string{key}
	if !s.Rebases() {
		infos, err := s.Chain(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		keys = keys[:0]
		for _, info := range slices.Backward(infos) {
			keys = append(keys, info.Key)
		}
	}
	var readers []*manifest.Reader
	stop := func() {
		for _, r := range readers {
			_ = r.Close() // was only read
		}
	}
	for _, k := range keys {
		path, err := s.ManifestPath(ctx, k)
		if err == nil {
			var r *manifest.Reader
			if r, err = manifest.Open(path); err == nil {
				readers = append(readers, r)
			} else if errdefs.IsNotFound(err) {
				err = ErrNoManifest
			}
		}
		if err != nil {
			stop()
			return nil, nil, err
		}
	}
	if s.Rebases() {
		return readers[0].All(), stop, nil
	}
	return tree(readers), stop, nil
}

// tree ranges over the tree that a chain makes.
func tree(readers []*manifest.Reader) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for e, err := range manifest.Merge(readers) {
			if !yield(e.Entry, err) {
				return
			}
		}
	}
}
