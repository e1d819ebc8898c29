package snapshot_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

func Example() {
	dir, err := os.MkdirTemp("", "snapshots")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := snapshot.Open(dir, vfs.New(filepath.Join(dir, "data")))
	if err != nil {
		log.Fatal(err)
	}
	// A layer: prepared, filled, committed.
	if _, err := s.Prepare(ctx, "unpacking", ""); err != nil {
		log.Fatal(err)
	}
	path, err := s.Path(ctx, "unpacking")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "hello"), []byte("world"), 0o644); err != nil {
		log.Fatal(err)
	}
	if err := s.Commit(ctx, "sha256:layer", "unpacking"); err != nil {
		log.Fatal(err)
	}
	// A container on top of it.
	if _, err := s.Prepare(ctx, "container", "sha256:layer", snapshot.WithVolatile()); err != nil {
		log.Fatal(err)
	}
	chain, err := s.Chain(ctx, "container")
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range chain {
		fmt.Println(i.Kind, i.Key)
	}
	fmt.Println(s.Remove(ctx, "sha256:layer"))
	// Output:
	// active container
	// committed sha256:layer
	// remove snapshot: snapshot "sha256:layer" is the parent of "container": failed precondition
}
