package settings

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	lruntime "github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func (o *Options) usernsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "userns", Usage: "map the container's users: `MODE` host, auto (to ids that no other container has) or CONTAINER:HOST:SIZE[,…]", Value: "host", Destination: &o.userns},
	}
}

// userNamespace reads --userns for a container that is complete but for its limits. The range of auto is the runtime's to
// find.
func userNamespace(o *Options, c lruntime.Container) (spec.UserNamespace, error) {
	mode := o.userns
	switch mode {
	case "host", "":
		return spec.UserNamespace{}, nil
	case "auto":
		return spec.UserNamespace{Auto: true}, checkUserNamespace(o, c)
	}
	if err := refuseWord(mode); err != nil {
		return spec.UserNamespace{}, err
	}
	ranges, err := spec.ParseIDs(mode)
	if err != nil {
		return spec.UserNamespace{}, fmt.Errorf("--userns %q is neither host nor auto, and as ranges of ids: %w", mode, err)
	}
	return spec.SameIDs(ranges...), checkUserNamespace(o, c)
}

// refuseWord refuses what --userns means to others.
func refuseWord(mode string) error {
	word, _, _ := strings.Cut(mode, ":")
	why := map[string]string{
		"auto":      "auto takes no options; a container gets 65536 ids",
		"keep-id":   "it is for users without privilege, and lrun is root's; use auto or CONTAINER:HOST:SIZE",
		"nomap":     "it is for users without privilege, and lrun is root's; use auto",
		"private":   "say which ids: auto or CONTAINER:HOST:SIZE",
		"container": "containers do not share user namespaces; give both the same CONTAINER:HOST:SIZE",
		"ns":        "namespaces are not joined by path; use auto or CONTAINER:HOST:SIZE",
	}[word]
	if why == "" {
		return nil
	}
	return fmt.Errorf("--userns %s is not supported: %s: %w", mode, why, errdefs.ErrNotImplemented)
}

// checkUserNamespace refuses what a container in a user namespace of its own cannot have.
func checkUserNamespace(o *Options, c lruntime.Container) error {
	refuse := func(flag, why string, class error) error {
		return fmt.Errorf("%s with --userns: %s; leave one of them out: %w", flag, why, class)
	}
	switch {
	case c.Settings.Privileged:
		return refuse("--privileged", "its powers are over the host, and in a user namespace nobody has them", errdefs.ErrInvalidArgument)
	case c.Settings.HostNetwork:
		return refuse("--network host", "the host's network belongs to the host's user namespace", errdefs.ErrInvalidArgument)
	case c.Settings.Security.WritableCgroups:
		return refuse("--security-opt writable-cgroups=true", "the container's cgroups belong to the host's root", errdefs.ErrNotImplemented)
	case o.Rootfs != "":
		return refuse("--rootfs", "whose ids the directory's owners mean is not known", errdefs.ErrNotImplemented)
	}
	sharing := c.Settings.Sharing
	for flag, mode := range map[string]string{
		"--pid": sharing.PID, "--ipc": sharing.IPC, "--uts": sharing.UTS, "--cgroupns": sharing.Cgroup, "--network": sharing.Network,
	} {
		if mode != "" && mode != spec.ModePrivate && mode != spec.ModeNone {
			return refuse(flag+" "+mode, "a namespace that is shared belongs to another user namespace", errdefs.ErrInvalidArgument)
		}
	}
	return nil
}
