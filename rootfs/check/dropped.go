package check

import (
	"errors"
	"io"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/layer/split"
)

const missing = "it is missing"

// instead says what is wrong with what takes the place of a layer's blob that is missing, "" for nothing: it was dropped.
func (c *checker) instead(im image.Image, layer int) (string, error) {
	t, err := c.dropped.Tar(c.ctx, im, layer)
	if errdefs.IsNotFound(err) {
		return missing, nil
	}
	if err == nil && c.Deep {
		err = c.together(t)
	}
	switch {
	case c.ctx.Err() != nil:
		return "", c.ctx.Err()
	case errdefs.IsDataLoss(err), errdefs.IsNotImplemented(err):
		return "it was dropped, and cannot be made again: " + err.Error(), nil
	}
	return "", err
}

// together puts a layer's tar together, whose digest is verified at the end.
func (c *checker) together(s split.Source) (err error) {
	t, err := s.Open(c.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	_, err = io.Copy(io.Discard, t)
	return err
}
