package container

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/lrun-dev/lrun/cmd/lrun/container/foreground"
	"github.com/lrun-dev/lrun/cmd/lrun/container/settings"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// runBuiltin runs an image that lrun makes of itself, and tells afterwards what has become of its layers.
func runBuiltin(ctx context.Context, e *env.Env, o *settings.Options, args []string, signals *foreground.Signals) error {
	c, claim, err := newContainer(ctx, e, o, args)
	if err != nil {
		return err
	}
	if err := create(ctx, e, o, &c, claim, args); err != nil {
		return errors.Join(err, discard(ctx, e, o, claim, nil))
	}
	outcome, err := hashLowers(ctx, e, c)
	if err != nil {
		return errors.Join(err, claim.Close())
	}
	if outcome.Written, err = writtenPath(ctx, e, c); err != nil {
		return errors.Join(err, claim.Close())
	}
	if !c.Remove {
		outcome.Container = c.Name
	}
	pending := containers(e).Begin(c)
	if err := runToEnd(ctx, e, c, claim, pending, signals); err != nil || len(args) > 1 {
		return err
	}
	for i := range outcome.Lowers {
		if outcome.Lowers[i].After, err = layer.TreeDigest(ctx, outcome.Lowers[i].Path); err != nil {
			return err
		}
	}
	return builtin.Report(e.Out, outcome)
}

// makeBuiltin makes the layers of a built-in image, which are made once for each build of lrun.
func makeBuiltin(ctx context.Context, e *env.Env, name string) (image.Image, error) {
	exe, err := executable()
	if err != nil {
		return image.Image{}, err
	}
	defer exe.Close()
	im, layers, err := builtin.Image(ctx, name, exe)
	if err != nil {
		return im, err
	}
	roots, err := e.Rootfs()
	if err != nil {
		return im, err
	}
	return im, roots.AddLayers(ctx, name, im, layers)
}

// hashLowers hashes each layer of the image as it lies on disk, bottom first.
func hashLowers(ctx context.Context, e *env.Env, c runtime.Container) (builtin.Outcome, error) {
	var outcome builtin.Outcome
	roots, err := e.Rootfs()
	if err != nil {
		return outcome, err
	}
	chain, err := roots.Snapshots.Chain(ctx, c.ID)
	if err != nil {
		return outcome, err
	}
	for _, below := range slices.Backward(chain[1:]) {
		dir, err := roots.Snapshots.Path(ctx, below.Key)
		if err != nil {
			return outcome, err
		}
		before, err := layer.TreeDigest(ctx, dir)
		if err != nil {
			return outcome, err
		}
		outcome.Lowers = append(outcome.Lowers, builtin.Lower{Path: dir, Before: before})
	}
	return outcome, nil
}

// writtenPath is where the file that the program writes lies on the host.
func writtenPath(ctx context.Context, e *env.Env, c runtime.Container) (string, error) {
	roots, err := e.Rootfs()
	if err != nil {
		return "", err
	}
	dir, err := roots.Snapshots.Path(ctx, c.ID)
	if err != nil {
		return "", err
	}
	file, err := quota.FileOf(dir)
	if file != "" {
		return "fs" + builtin.WrittenPath + " in the image file " + file, err
	}
	return filepath.Join(dir, builtin.WrittenPath), err
}
