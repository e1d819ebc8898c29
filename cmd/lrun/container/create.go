package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/mounts"
	"github.com/lrun-dev/lrun/cmd/lrun/container/rootdir"
	"github.com/lrun-dev/lrun/cmd/lrun/container/settings"
	"github.com/lrun-dev/lrun/cmd/lrun/container/takeover"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/internal/stack"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

func createCommand(e *env.Env) *cli.Command {
	o := &settings.Options{}
	return &cli.Command{
		Usage:     "make a container and leave it for start",
		ArgsUsage: "IMAGE [COMMAND] [ARGUMENT...]",
		Flags:     append(o.Flags(), e.DriverFlag()),
		Action: func(c *cli.Context) error {
			if err := o.Given(c.IsSet); err != nil {
				return err
			}
			return runCreate(c.Context, e, o, operands(o, c.Args().Slice()))
		},
	}
}

// operands are the image and the command; the directory of --rootfs stands in for the image.
func operands(o *settings.Options, args []string) []string {
	if o.Rootfs == "" {
		return args
	}
	return append([]string{o.Rootfs}, args...)
}

func runCreate(ctx context.Context, e *env.Env, o *settings.Options, args []string) error {
	c, claim, err := newContainer(ctx, e, o, args)
	if err != nil {
		return err
	}
	if err := create(ctx, e, o, &c, claim, args); err != nil {
		return errors.Join(err, discard(ctx, e, o, claim, nil))
	}
	if err := claim.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Out, c.ID)
	return err
}

// create completes a new container by its image and makes it. What killed processes left is put right before
// anything takes a name. If anything fails, discard takes it back.
func create(ctx context.Context, e *env.Env, o *settings.Options, c *runtime.Container, claim *runtime.Claim, args []string) error {
	var im image.Image
	err := both(func() (err error) {
		if c.RootDir == "" {
			im, err = findImage(ctx, e, args[0])
		}
		return err
	}, func() error { return sweep(ctx, e) })
	if err != nil {
		return err
	}
	if err := settings.Complete(c, o, im, args); err != nil {
		return err
	}
	trace.Step("image resolved")
	return fill(ctx, e, c, im, claim)
}

// findImage resolves a name to an image and, of a built-in one, makes its layers.
func findImage(ctx context.Context, e *env.Env, name string) (image.Image, error) {
	if builtin.Is(name) {
		return makeBuiltin(ctx, e, name)
	}
	images, err := e.Images()
	if err != nil {
		return image.Image{}, err
	}
	rec, err := images.Resolve(ctx, name)
	if errors.Is(err, errdefs.ErrNotFound) {
		return image.Image{}, fmt.Errorf("image %q is not here; 'lrun images' lists those that are, 'lrun load -i FILE' brings one: %w", name, errdefs.ErrNotFound)
	}
	if err != nil {
		return image.Image{}, err
	}
	return images.Load(ctx, rec)
}

// newContainer begins a container by what the user says of it, and takes the claim of its id, which is the
// caller's. Nothing else is made but the file of --cidfile.
func newContainer(ctx context.Context, e *env.Env, o *settings.Options, args []string) (runtime.Container, *runtime.Claim, error) {
	if err := e.Privileged(); err != nil {
		return runtime.Container{}, nil, err
	}
	o.MountsOf = func(name string) ([]spec.Mount, error) {
		other, err := containers(e).Resolve(name)
		return other.Settings.Mounts, err
	}
	config, err := e.Config()
	if err != nil {
		return runtime.Container{}, nil, err
	}
	o.NoNewPrivileges = config.NoNewPrivileges
	c, err := settings.New(o, args)
	if err != nil {
		return c, nil, err
	}
	if l := c.Settings.Limits; l.NoOOMKill && l.Memory == 0 {
		e.Notice("--oom-kill-disable without --memory: there is no limit at which programs would wait, and the host may run out of memory")
	}
	if o.Rootfs != "" {
		if c.RootDir, c.RootWrite, err = rootdir.Parse(o.Rootfs, e.Root(), e.State()); err != nil {
			return c, nil, err
		}
	}
	if err := containers(e).ResolveDonors(&c); err != nil {
		return c, nil, err
	}
	if err := reserveIDFile(o.IDFile, c.ID); err != nil {
		return c, nil, err
	}
	claim, err := containers(e).Claim(ctx, c.ID)
	if err != nil {
		return c, nil, err
	}
	if err := takeIDs(e, &c); err != nil {
		return c, nil, errors.Join(err, discardClaim(o, claim, nil))
	}
	return c, claim, nil
}

// takeIDs records in the root which ids c has of its own, once that is known to be a root.
func takeIDs(e *env.Env, c *runtime.Container) error {
	if !c.Settings.UserNS.Auto {
		return nil
	}
	if _, err := e.Images(); err != nil {
		return err
	}
	return containers(e).TakeIDs(c)
}

// fill makes the container's root, its volumes and its record. If anything fails, discard takes it back.
func fill(ctx context.Context, e *env.Env, c *runtime.Container, im image.Image, claim *runtime.Claim) error {
	roots, err := e.Rootfs()
	if err != nil {
		return err
	}
	driver, err := e.Driver()
	if err != nil {
		return err
	}
	c.Driver = driver.Name
	limit, err := limitOf(e, c)
	if err != nil {
		return err
	}
	done := func() error { return nil }
	prepare := func() (err error) {
		if _, err = roots.Prepare(ctx, c.ID, im, rootfs.PrepareOptions{Volatile: c.Remove, Limit: limit}); err != nil {
			return err
		}
		if c.RootDir != "" {
			upper, err := roots.Snapshots.Path(ctx, c.ID)
			if err == nil {
				err = rootdir.Prepare(ctx, c, upper)
			}
			if err != nil {
				return err
			}
		}
		done, err = mounts.Make(ctx, e.Volumes(), c, func(ctx context.Context) (*os.File, error) { return readRoot(ctx, e, *c) })
		return err
	}
	write := func() error {
		return takeover.Record(ctx, containers(e), claim, c, func() error { return sweep(ctx, e) })
	}
	if c.Remove && !mounts.HasVolumes(c) {
		return both(prepare, write)
	}
	// What is kept must be there before the record that names it, and the record names the volumes.
	err = prepare()
	if err == nil {
		err = write()
	}
	return errors.Join(err, done())
}

// limitOf chooses how the size of the container's disk is limited; nil: it is not.
func limitOf(e *env.Env, c *runtime.Container) (*quota.Limit, error) {
	size := c.Settings.Limits.Disk
	switch {
	case size == 0:
		return nil, nil
	case !c.Settings.UserNS.Own(): // root inside is root of the host's files
		return quota.InFile(size)
	}
	return quota.Choose(filepath.Join(e.Root(), "snapshots"), size, c.Driver == "overlayfs")
}

// discard takes back what newContainer and fill have made, as far as they came, and gives the claim up. What failed may
// have kept fill from taking back its own, so it looks everywhere. After an err, of taking back more, the sweep goes on.
func discard(ctx context.Context, e *env.Env, o *settings.Options, claim *runtime.Claim, err error) error {
	errs := []error{err}
	if _, err := e.Rootfs(); err == nil { // else nothing can have been made in it
		errs = append(errs, containers(e).Delete(context.WithoutCancel(ctx), claim.ID, sweeper(e)))
	}
	return discardClaim(o, claim, errors.Join(errs...))
}

// discardClaim gives the claim up, or leaves it to the sweep after work that ended with err, and takes the file of
// --cidfile back.
func discardClaim(o *settings.Options, claim *runtime.Claim, err error) error {
	err = claim.Done(err)
	if o.IDFile != "" {
		err = errors.Join(err, os.Remove(o.IDFile))
	}
	return err
}

// both does two things at the same time.
func both(one, other func() error) error {
	done := make(chan error, 1)
	go func() {
		stack.Ensure()
		done <- other()
	}()
	return errors.Join(one(), <-done)
}

// reserveIDFile writes the id before anything is made, so that a file that exists stops the container.
func reserveIDFile(path, id string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("--cidfile %s: the file exists; its container may still be there: remove it or name another: %w", path, errdefs.ErrAlreadyExists)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(id)
	return errors.Join(err, f.Close())
}

// releaser frees what a container has outside the runtime: its root and the volumes that are tied to it.
func releaser(e *env.Env) func(context.Context, string) error {
	return func(ctx context.Context, id string) error {
		released := e.EachWhole(func(roots *rootfs.Store) error { return roots.Release(ctx, id) })
		return errors.Join(released, e.Volumes().RemoveOf(ctx, id, func(name string) (bool, error) {
			users, err := volumeUsers(e)
			return slices.ContainsFunc(users[name], func(user string) bool { return user != id }), err
		}))
	}
}

// volumeUsers are the ids of the containers that use each volume.
func volumeUsers(e *env.Env) (map[string][]string, error) {
	all, err := containers(e).List()
	users := map[string][]string{}
	for _, c := range all {
		for _, m := range c.Settings.Mounts {
			if m.Type == "volume" && !slices.Contains(users[m.Name], c.ID) {
				users[m.Name] = append(users[m.Name], c.ID)
			}
		}
	}
	return users, err
}
