package check

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer"
)

// images checks the index, and manifest, config and blobs of each image.
func (c *checker) images() error {
	records, err := c.Images.List(c.ctx)
	if errdefs.IsDataLoss(err) {
		c.unknown = true
		c.report(Finding{Severity: Damage, Kind: "index", ID: "index.json", Problem: err.Error(), Remedy: "load or pull the images again"})
		return nil
	}
	if err != nil {
		return err
	}
	var distinct []image.Record
	names := map[digest.Digest][]string{}
	for _, r := range records {
		if c.Only != nil && !slices.ContainsFunc(c.Only, func(o image.Record) bool { return o.Image == r.Image }) {
			continue
		}
		d := r.Manifest.Digest
		if names[d] == nil {
			distinct = append(distinct, r)
		}
		names[d] = append(names[d], nameOf(r))
	}
	for _, r := range distinct {
		if err := c.image(r, names[r.Manifest.Digest]); err != nil {
			return err
		}
	}
	return nil
}

// image checks one image that has the given names.
func (c *checker) image(r image.Record, names []string) error {
	c.sum.Images++
	im, err := c.Images.Load(c.ctx, r)
	if errdefs.IsNotFound(err) { // removed meanwhile
		return nil
	}
	if err != nil && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if err != nil {
		c.unknown = true
		if c.stored(r) {
			c.report(Finding{Severity: Damage, Kind: "image", ID: r.Image.String(), Images: names, Problem: err.Error(), Remedy: again(names)})
		}
		return nil
	}
	c.stacks = append(c.stacks, im.ChainIDs())
	for i, id := range im.ChainIDs() {
		c.depths[id.String()] = i
		c.users[id.String()] = append(c.users[id.String()], names...)
	}
	for i, l := range slices.Concat([]ocispec.Descriptor{im.Manifest}, im.Layers) {
		err := c.imageBlob(r, im, names, l, i-1)
		if err == nil && i > 0 && c.Deep {
			err = c.content(r, im, names, i-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// imageBlob checks a blob of the image of r: that of a layer, or its manifest (-1).
func (c *checker) imageBlob(r image.Record, im image.Image, names []string, l ocispec.Descriptor, layer int) error {
	seen := c.blobs[l.Digest]
	if seen && (layer < 0 || c.Blobs.Has(l.Digest)) { // of one that was dropped each chain has something in its place
		return nil
	}
	if !seen {
		c.blobs[l.Digest] = true
		c.sum.Blobs++
	}
	problem, err := c.lasting(r, im, l, layer)
	if err != nil {
		return err
	}
	if problem != "" {
		c.contents[l.Digest] = "" // enough is said of it
	}
	if problem != "" && c.stored(r) {
		c.report(Finding{Severity: Damage, Kind: "blob", ID: l.Digest.String(), Images: names, Problem: problem, Remedy: again(names)})
	}
	return nil
}

// lasting says what is wrong with a blob of imageBlob, "" for nothing: what is missing once may be that of an image that was removed and
// is just there again.
func (c *checker) lasting(r image.Record, im image.Image, l ocispec.Descriptor, layer int) (problem string, err error) {
	for range 4 { // as image.Store.Load
		problem, err = c.blob(l)
		if problem == missing && layer >= 0 {
			problem, err = c.instead(im, layer)
		}
		if err != nil || problem != missing || !c.stored(r) {
			break
		}
	}
	return problem, err
}

// content checks that a blob, whose digest is right, is the layer that the image of r says (0 is the bottom).
func (c *checker) content(r image.Record, im image.Image, names []string, layer int) error {
	d, says := im.Layers[layer].Digest, im.Config.RootFS.DiffIDs[layer]
	found, seen := c.contents[d]
	var problem string
	if !seen {
		var err error
		found, err = c.diffID(d)
		switch {
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case err != nil && !errdefs.IsNotFound(err): // else it was dropped or removed
			problem = err.Error()
		}
		c.contents[d] = found
	}
	if found != "" && found != says {
		problem = fmt.Sprintf("its content has the DiffID %s, and the image says %s", found, says)
	}
	if problem != "" && c.stored(r) {
		c.report(Finding{Severity: Damage, Kind: "blob", ID: d.String(), Images: names, Problem: problem, Remedy: again(names)})
	}
	return nil
}

// diffID decompresses a blob.
func (c *checker) diffID(d digest.Digest) (digest.Digest, error) {
	f, err := c.Blobs.Open(d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return layer.DiffID(c.ctx, f)
}

// stored tells that r is still there.
func (c *checker) stored(r image.Record) bool {
	records, err := c.Images.List(c.ctx)
	return err != nil || slices.ContainsFunc(records, func(o image.Record) bool {
		return o.Image == r.Image && o.Manifest.Digest == r.Manifest.Digest
	})
}

// again is what heals a blob.
func again(images []string) string { return "load or pull " + strings.Join(images, " or ") + " again" }

// blob says what is wrong with a blob, "" for nothing.
func (c *checker) blob(want ocispec.Descriptor) (string, error) {
	size, err := c.Blobs.Size(want.Digest)
	switch {
	case errdefs.IsNotFound(err):
		return missing, nil
	case err != nil:
		return "", err
	case size != want.Size:
		return fmt.Sprintf("it has %d bytes, not %d", size, want.Size), nil
	case !c.Deep:
		return "", nil
	}
	f, err := c.Blobs.Open(want.Digest)
	if errdefs.IsNotFound(err) {
		return missing, nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := want.Digest.Algorithm().Hash()
	n, err := io.Copy(h, reader{c.ctx.Err, f})
	if c.ctx.Err() != nil {
		return "", c.ctx.Err()
	}
	if err == nil {
		err = blob.Compare(want, digest.NewDigest(want.Digest.Algorithm(), h), n)
	}
	if mismatch, ok := errors.AsType[*blob.Mismatch](err); ok {
		return "its digest is " + mismatch.Digest.String(), nil
	}
	if err != nil {
		return err.Error(), nil
	}
	return "", nil
}

// reader reads until stop says why not.
type reader struct {
	stop func() error
	r    io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.stop(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
