package blob

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Ingest is a set of blobs that one process writes and that the store does not have before Publish.
// Its methods may be called from several goroutines, except Publish and Close.
type Ingest struct {
	store *Store
}

// Write takes in the blob that r holds and verifies it while writing: bytes that are not those of
// desc are a *Mismatch, which is errdefs.ErrDataLoss. A negative size or an empty digest was not
// known beforehand and is not compared. After an error nothing of the blob is in the ingest.
func (in *Ingest) Write(_ context.Context, desc ocispec.Descriptor, _ io.Reader) error {
	return fmt.Errorf("write blob %s: %w", desc.Digest, errdefs.ErrNotImplemented)
}

// WriteUnknown takes in the bytes of r and returns their digest (sha256) and their number.
func (in *Ingest) WriteUnknown(_ context.Context, _ io.Reader) (digest.Digest, int64, error) {
	return "", 0, fmt.Errorf("write blob: %w", errdefs.ErrNotImplemented)
}

// Open opens blob d, ingested or else of the store, for reading; the caller closes it. A blob that
// is in neither is errdefs.ErrNotFound.
func (in *Ingest) Open(d digest.Digest) (*os.File, error) {
	return nil, fmt.Errorf("open blob %s: %w", d, errdefs.ErrNotImplemented)
}

// Discard drops blob d from the ingest: it will not be published. Discarding what is not there is
// not an error.
func (in *Ingest) Discard(d digest.Digest) error {
	return fmt.Errorf("discard blob %s: %w", d, errdefs.ErrNotImplemented)
}

// Publish gives all blobs to the store, replacing damaged ones of the same digest, and returns when
// they are durable. Each file is synced first; after a syncfs by the caller that costs next to
// nothing, and whoever ingested much should do one.
func (in *Ingest) Publish() error {
	return fmt.Errorf("publish ingest: %w", errdefs.ErrNotImplemented)
}

// Close ends the ingest and removes what was not published. A second call does nothing.
func (in *Ingest) Close() error {
	return nil
}

// Mismatch is the error for bytes that are not the blob that they should be.
type Mismatch struct {
	Want   ocispec.Descriptor // what was announced: digest (empty: any) and size (negative: any)
	Digest digest.Digest      // what was found; empty when reading stopped because the size was exceeded
	Size   int64              // the number of bytes read
}

// Error names the blob, what was expected and what was found.
func (m *Mismatch) Error() string {
	return fmt.Sprintf("blob %s has %d bytes with digest %s, expected %d bytes", m.Want.Digest, m.Size, m.Digest, m.Want.Size)
}

// Unwrap makes a Mismatch an errdefs.ErrDataLoss.
func (m *Mismatch) Unwrap() error { return errdefs.ErrDataLoss }
