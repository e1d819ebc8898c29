package env

import (
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// Blobs returns the blobs of the root.
func (e *Env) Blobs() (*blob.Store, error) { return e.blobs() }

// Images returns the images of the root. Whoever changes them goes through Rootfs, which locks the root.
func (e *Env) Images() (*image.Store, error) { return e.images() }

// openRoot makes sure that the root is one that this lrun understands, and returns its path.
func (e *Env) openRoot() (string, error) {
	if err := e.Privileged(); err != nil {
		return "", err
	}
	root := e.Root()
	return root, os.MkdirAll(root, 0o700)
}

func (e *Env) openBlobs() (*blob.Store, error) {
	root, err := e.store()
	if err != nil {
		return nil, err
	}
	return blob.Open(filepath.Join(root, "images"), filepath.Join(root, "ingest"))
}

func (e *Env) openImages() (*image.Store, error) {
	blobs, err := e.Blobs()
	if err != nil {
		return nil, err
	}
	return image.Open(filepath.Join(e.Root(), "images"), blobs)
}
