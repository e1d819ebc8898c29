package settings

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/cmd/lrun/container/mounts"
	"github.com/lrun-dev/lrun/image"
	lruntime "github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/name"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// New makes the record of a new container as far as the flags and the arguments say it: all that does
// not depend on the image. It changes nothing on disk.
func New(o *Options, args []string) (lruntime.Container, error) {
	c := lruntime.Container{
		ID: lruntime.NewID(), Name: o.name, Created: time.Now().UTC(), Image: args[0],
		Remove: o.remove, Interactive: o.interactive, Network: o.network, Runtime: o.runtime,
	}
	if c.Name != "" {
		if err := name.Check(c.Name); err != nil {
			return c, err
		}
	}
	c.Settings = spec.Settings{
		Cwd: o.workdir, User: o.user, Hostname: o.hostname, Terminal: o.terminal, Init: o.init, ReadOnly: o.readOnly,
		Privileged: o.privileged, CapAdd: o.capAdd.Value(), CapDrop: o.capDrop.Value(),
	}
	err := o.namespaces.apply(&c.Settings)
	if err == nil {
		err = network(o.network, &c.Settings, c.ID)
	}
	if err != nil {
		return c, err
	}
	if err := o.tuning.tune(&c.Settings); err != nil {
		return c, err
	}
	c.Settings.Security.NoNewPrivileges = o.NoNewPrivileges
	if err := o.devices.open(&c.Settings); err != nil {
		return c, err
	}
	if err := o.security.security(&c.Settings); err != nil {
		return c, err
	}
	if c.Settings.Names, err = o.names.names(c.Settings.HostNetwork); err == nil {
		err = checkNames(c.Settings)
	}
	if err != nil {
		return c, err
	}
	if c.Settings.ShmSize, err = shmSize(o.shmSize); err != nil {
		return c, err
	}
	if c.Settings.UserNS, err = userNamespace(o, c); err != nil {
		return c, err
	}
	if c.Settings.Mounts, err = o.mounts.Parse(o.MountsOf); err != nil {
		return c, err
	}
	if c.Settings.Limits, err = o.resources.limits(); err == nil {
		c.Settings.Limits.Disk, err = o.disk.size(o.Rootfs)
	}
	return c, err
}

// Complete adds to a record that New has made what the image says.
func Complete(c *lruntime.Container, o *Options, im image.Image, args []string) error {
	if o.Rootfs != "" && o.platform != "" {
		return invalid("--platform is about images, and there is none with --rootfs")
	}
	if err := checkPlatform(o.platform, im.Config.Platform); err != nil {
		return err
	}
	c.ImageID = im.ID.String()
	config, s := im.Config.Config, &c.Settings
	var err error
	if c.Labels, err = labels(o, config.Labels); err != nil {
		return err
	}
	s.StopSignal = first(s.StopSignal, config.StopSignal)
	s.Args, c.Entrypoint = program(o, config, args[1:])
	s.Cwd, s.User = first(s.Cwd, config.WorkingDir), first(s.User, config.User)
	if len(s.Args) > 0 && s.Args[0] == "" {
		return fmt.Errorf("no command: its first word is empty: %w", errdefs.ErrInvalidArgument)
	}
	if len(s.Args) == 0 {
		return fmt.Errorf("no command: the image names none, so give one after the image: %w", errdefs.ErrInvalidArgument)
	}
	if s.Cwd != "" && !path.IsAbs(s.Cwd) {
		return fmt.Errorf("working directory %q: give an absolute path inside the container: %w", s.Cwd, errdefs.ErrInvalidArgument)
	}
	own, err := environment(o)
	if err != nil {
		return err
	}
	s.Env = spec.MergeEnv(config.Env, own)
	s.Mounts, err = mounts.WithImage(s.Mounts, config.Volumes)
	return err
}

// checkPlatform refuses what this machine cannot execute, before anything is made of it.
func checkPlatform(asked string, of ocispec.Platform) error {
	if asked != "" {
		want, err := image.ParsePlatform(asked)
		if err != nil {
			return err
		}
		if !image.IsFor(want, of) {
			return fmt.Errorf("the image is for %s, not for %s; load it again with --platform %s: %w", image.FormatPlatform(of), asked, asked, errdefs.ErrInvalidArgument)
		}
	}
	if of.OS != "" && !strings.EqualFold(of.OS, runtime.GOOS) || of.Architecture != "" && !executes(of) {
		return fmt.Errorf("the image is for %s and this machine is %s/%s; load the image for this machine with --platform %[2]s/%[3]s: %w",
			image.FormatPlatform(of), runtime.GOOS, runtime.GOARCH, errdefs.ErrNotImplemented)
	}
	return nil
}

// executes tells whether programs for an architecture run here: its own, and i386 on amd64.
func executes(of ocispec.Platform) bool {
	is := func(arch string) bool { return image.IsFor(ocispec.Platform{OS: of.OS, Architecture: arch}, of) }
	return is(runtime.GOARCH) || runtime.GOARCH == "amd64" && is("386")
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// program follows Docker: an entrypoint of the user's own takes the image's command away as well. The
// first words are the entrypoint.
func program(o *Options, c ocispec.ImageConfig, command []string) (args []string, words int) {
	entrypoint, cmd := c.Entrypoint, c.Cmd
	if o.entrypointSet {
		entrypoint, cmd = nil, nil
		if o.entrypoint != "" {
			entrypoint = []string{o.entrypoint}
		}
	}
	if len(command) > 0 {
		cmd = command
	}
	return append(append([]string(nil), entrypoint...), cmd...), len(entrypoint)
}
