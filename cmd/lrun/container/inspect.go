package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

type inspectOptions struct{ format string }

func inspectCommand(e *env.Env) *cli.Command {
	var o inspectOptions
	return &cli.Command{
		Usage:     "show all that is known of containers, as JSON",
		ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "show 'json' or what a Go `TEMPLATE` makes of each", Destination: &o.format},
		},
		Action: func(c *cli.Context) error { return runInspect(c.Context, e, o, c.Args().Slice()) },
	}
}

func runInspect(ctx context.Context, e *env.Env, o inspectOptions, names []string) error {
	if err := e.Readable(); err != nil {
		return err
	}
	var objects []any
	var errs []error
	for _, name := range names {
		object, err := Inspect(ctx, e, name)
		switch {
		case errors.Is(err, errdefs.ErrNotFound):
			errs = append(errs, command.Plain("Error: No such container: "+name))
		case err != nil:
			errs = append(errs, err)
		default:
			objects = append(objects, object)
		}
	}
	return errors.Join(append([]error{format.Inspect(e.Out, o.format, objects)}, errs...)...)
}

// Inspection is what `inspect` shows of a container, with Docker's names where Docker has them.
type Inspection struct {
	ID              string `json:"Id"`
	Created         time.Time
	Path            string
	Args            []string
	State           hostconfig.State
	RestartCount    int
	LogPath         string
	Image           string
	Name            string
	Driver          string
	Platform        string
	ProcessLabel    string
	MountLabel      string
	HostnamePath    string
	HostsPath       string
	ResolvConfPath  string
	GraphDriver     graphDriver
	DiskLimit       *diskLimit `json:",omitempty"`
	HostConfig      hostConfig
	Mounts          []hostconfig.MountPoint
	Config          hostconfig.Config
	NetworkSettings hostconfig.NetworkSettings
}

// graphDriver says where the layers lie: for overlayfs the directories as they are mounted.
type graphDriver struct {
	Name string
	Data map[string]string
}

// diskLimit says how --disk is kept.
type diskLimit struct {
	Size int64
	Way  quota.Way
	File string `json:",omitempty"` // the image file
}

type hostConfig struct {
	AutoRemove  bool
	NetworkMode string
	hostconfig.Sharing
	hostconfig.Security
	Privileged     bool
	ReadonlyRootfs bool
	CapAdd         []string
	CapDrop        []string
	Init           bool
	Runtime        string
	Annotations    map[string]string
	hostconfig.Resources
	hostconfig.Names
	hostconfig.Tuning
	hostconfig.Mounts
	hostconfig.Users
	hostconfig.HostDevices
	hostconfig.Later
}

// Inspect returns what is known of one container, found by name or id.
func Inspect(ctx context.Context, e *env.Env, name string) (Inspection, error) {
	store := containers(e)
	c, err := store.Resolve(name)
	if err != nil {
		return Inspection{}, err
	}
	st, err := store.State(c.ID)
	if err != nil {
		return Inspection{}, err
	}
	v := Inspection{
		ID: c.ID, Created: c.Created, Path: c.Settings.Args[0], Args: c.Settings.Args[1:], Image: c.ImageID, Name: "/" + c.Name,
		Driver: c.Driver, Platform: "linux", HostnamePath: store.Dir(c.ID) + "/hostname", HostsPath: store.Dir(c.ID) + "/hosts",
		ResolvConfPath: store.Dir(c.ID) + "/resolv.conf", ProcessLabel: c.Settings.Security.ProcessLabel, MountLabel: c.Settings.Security.MountLabel,
		State:           hostconfig.StateOf(st),
		HostConfig:      hostConfigOf(c),
		Config:          hostconfig.ConfigOf(c),
		NetworkSettings: hostconfig.NetworkOf(c),
	}
	v.Mounts = hostconfig.MountPoints(c.Settings.Mounts)
	if v.GraphDriver, err = graphOf(ctx, e, c); err == nil && c.Settings.Limits.Disk > 0 {
		v.DiskLimit, err = diskLimitOf(ctx, e, c)
	}
	return v, err
}

func hostConfigOf(c runtime.Container) hostConfig {
	s := c.Settings
	name := c.Runtime
	if name == "" {
		name = "built in"
	}
	return hostConfig{
		AutoRemove: c.Remove, NetworkMode: c.Network, Privileged: s.Privileged, ReadonlyRootfs: s.ReadOnly, CapAdd: s.CapAdd,
		CapDrop: s.CapDrop, Init: s.Init, Runtime: name, Annotations: s.Annotations, Sharing: hostconfig.SharingOf(s), Security: hostconfig.SecurityOf(s),
		Resources: hostconfig.ResourcesOf(s), Names: hostconfig.NamesOf(s), Tuning: hostconfig.TuningOf(s),
		Mounts: hostconfig.MountsOf(s.Mounts), Users: hostconfig.UsersOf(s), HostDevices: hostconfig.HostDevicesOf(s), Later: hostconfig.None(),
	}
}

// graphOf says where the container's layers lie. A root that is gone is said so, not an error: the
// rest is worth seeing.
func graphOf(ctx context.Context, e *env.Env, c runtime.Container) (graphDriver, error) {
	g := graphDriver{Name: c.Driver, Data: map[string]string{}}
	mounts, err := mountsOf(ctx, e, c, (*snapshot.Store).Look)
	if errors.Is(err, errdefs.ErrNotFound) {
		g.Data["Error"] = fmt.Sprintf("the container's root is gone: %v", err)
		return g, nil
	}
	if err != nil {
		return g, err
	}
	for _, m := range mounts {
		describeMount(g.Data, m)
	}
	return g, nil
}

// diskLimitOf says how the disk of a container is limited; nil when its root is gone.
func diskLimitOf(ctx context.Context, e *env.Env, c runtime.Container) (*diskLimit, error) {
	roots, err := e.RootfsOf(c.Driver)
	if err != nil {
		return nil, err
	}
	info, err := roots.Snapshots.Stat(ctx, c.ID)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil, nil
	}
	if err != nil || info.Limit == nil {
		return nil, err
	}
	tree, err := roots.Snapshots.Path(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	file, err := quota.FileOf(tree)
	return &diskLimit{Size: info.Limit.Size, Way: info.Limit.Way, File: file}, err
}

func describeMount(data map[string]string, m mount.Mount) {
	if m.Type == "bind" {
		data["Dir"] = m.Source
	}
	names := map[string]string{"lowerdir": "LowerDir", "lowerdir+": "LowerDir", "upperdir": "UpperDir", "workdir": "WorkDir"}
	for _, o := range m.Options {
		if name := names[o.Key]; name != "" {
			data[name] = strings.Join(o.Dirs, ":")
		}
	}
}
