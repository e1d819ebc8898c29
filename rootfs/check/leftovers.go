package check

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/rootfs/chain/lock"
)

// leftovers reports blobs that no image needs, and ingests of processes that died. Those of the snapshots are told
// with their records.
func (c *checker) leftovers() error {
	if err := c.ingests(); err != nil || c.unknown {
		return err // as long as an image cannot be read nobody knows which blobs are its
	}
	needed, err := c.Images.Blobs(c.ctx)
	if errdefs.IsDataLoss(err) || errdefs.IsNotFound(err) { // it was told, or an image has just gone
		return nil
	}
	if err != nil {
		return err
	}
	var suspects []digest.Digest
	err = c.Blobs.Walk(func(d digest.Digest, _ int64) error {
		if _, ok := needed[d]; !ok {
			suspects = append(suspects, d)
		}
		return nil
	})
	if err != nil || len(suspects) == 0 {
		return err
	}
	return c.unneeded(suspects)
}

// unneeded reports those of blobs that are there and that no image needs, while none appears or goes: one may have been published since
// the images were looked at.
func (c *checker) unneeded(blobs []digest.Digest) error {
	l, err := lock.Wait(c.ctx, flock.Shared, filepath.Join(c.Dir, "lock"), (*flock.Lock).Unlock)
	if err != nil {
		return err
	}
	needed, err := c.Images.Blobs(c.ctx)
	blobs = slices.DeleteFunc(blobs, func(d digest.Digest) bool {
		_, ok := needed[d]
		return ok || !c.Blobs.Has(d)
	})
	if err := errors.Join(err, l.Unlock()); err != nil {
		return err
	}
	for _, d := range blobs { // nobody waits for what is done with it
		c.report(Finding{Severity: Leftover, Kind: "blob", ID: d.String(), Problem: "no image needs it"})
	}
	return nil
}

// ingests reports blobs on the way in whose process has died.
func (c *checker) ingests() error {
	dir := filepath.Join(c.Dir, "ingest")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Name() == blob.KeptDir {
			continue // for a day
		}
		path := filepath.Join(dir, e.Name())
		l, err := flock.TryExclusive(path)
		if err != nil { // somebody works with it, or it has gone
			continue
		}
		if err := l.Unlock(); err != nil {
			return err
		}
		c.report(Finding{Severity: Leftover, Kind: "ingest", ID: path, Problem: "blobs that a killed process was writing"})
	}
	return err
}
