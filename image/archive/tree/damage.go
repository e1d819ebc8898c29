package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
)

// Damage gives an error of reading a tar, which came after so many entries, its class: errdefs.ErrInvalidArgument
// for what is no tar at all, errdefs.ErrDataLoss for a tar that is damaged or truncated, others as they are.
func Damage(err error, entries int) error {
	switch {
	case errors.Is(err, errdefs.ErrDataLoss): // damage of the compression
		return err
	case errors.Is(err, tar.ErrHeader) && entries == 0:
		return fmt.Errorf("it is not a tar: %w: %w", err, errdefs.ErrInvalidArgument)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("the tar is damaged after %d entries: %w: %w", entries, err, errdefs.ErrDataLoss)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the tar is truncated after %d entries: %w", entries, errdefs.ErrDataLoss)
	}
	return err
}

// ContextReader returns a reader of r that fails when ctx is done.
func ContextReader(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
