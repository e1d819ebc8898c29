// Package settings makes the record of a new container: from the flags of run and create, the image's
// config and the arguments.
package settings

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/mounts"
)

// Options are the flags that run and create share.
type Options struct {
	// entrypointSet says that --entrypoint was given, for an empty one takes the image's away.
	entrypointSet bool
	// Rootfs is --rootfs: there is no image among the arguments then.
	Rootfs string
	// NoNewPrivileges is the default that --security-opt may change.
	NoNewPrivileges bool
	// IDFile is --cidfile.
	IDFile string

	// MountsOf finds the mounts of another container, for --volumes-from.
	MountsOf mounts.Of

	names  nameOptions
	mounts mounts.Flags

	shmSize string

	name, hostname, user, workdir, platform, network, runtime, entrypoint, userns string

	remove, interactive, terminal, readOnly, privileged, init bool

	env, envFiles, capAdd, capDrop, labels, labelFiles cli.StringSlice

	resources  resourceFlags
	disk       diskFlags
	tuning     tuningFlags
	devices    deviceFlags
	namespaces namespaceOptions
	security   securityFlags
}

// Flags are the command line's, which set o when they are read.
func (o *Options) Flags() []cli.Flag {
	return slices.Concat(o.contentFlags(), o.confinementFlags(), o.resources.flags(), o.disk.flags(), o.tuning.flags(), o.devices.flags(), o.names.flags(),
		o.namespaces.flags(), o.security.flags(), o.mounts.Flags(), o.usernsFlags())
}

func (o *Options) contentFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "rm", Usage: "remove the container when its program ends", Destination: &o.remove},
		&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass standard input on to the program", Destination: &o.interactive},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the program a terminal", Destination: &o.terminal},
		&cli.StringFlag{Name: "name", Usage: "call the container `NAME`", DefaultText: "two random words", Destination: &o.name},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE`; a NAME alone takes lrun's own value", Destination: &o.env},
		&cli.StringSliceFlag{Name: "env-file", Usage: "set what `FILE` says, one NAME=VALUE or NAME a line", Destination: &o.envFiles},
		&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "start in `DIR` inside the container, made if it is missing", DefaultText: "the image's", Destination: &o.workdir},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "run as `USER[:GROUP]`, names of the image or numbers", DefaultText: "the image's", Destination: &o.user},
		&cli.StringFlag{Name: "entrypoint", Usage: "run `PROGRAM` in place of the image's entrypoint and command", DefaultText: "the image's", Destination: &o.entrypoint},
		&cli.StringFlag{Name: "rootfs", Usage: "use `DIR[:rw]` as the root in place of an image, changing it only with :rw; the first argument is the command then", Destination: &o.Rootfs},
		&cli.StringFlag{Name: "shm-size", Usage: "make /dev/shm `BYTES` large, with a unit like 128m", DefaultText: "64m", Destination: &o.shmSize},
		&cli.BoolFlag{Name: "read-only", Usage: "make the root file system read-only", Destination: &o.readOnly},
		&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}, Usage: "label the container with `NAME[=VALUE]`", Destination: &o.labels},
		&cli.StringSliceFlag{Name: "label-file", Usage: "label it with what `FILE` says, one NAME[=VALUE] a line", Destination: &o.labelFiles},
		&cli.StringFlag{Name: "platform", Usage: "refuse an image that is not for `OS/ARCH[/VARIANT]`", DefaultText: "this machine's", Destination: &o.platform},
		&cli.StringFlag{Name: "cidfile", Usage: "write the container's id to `FILE`, which must not exist", Destination: &o.IDFile},
	}
}

func (o *Options) confinementFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "hostname", Aliases: []string{"h"}, Usage: "call the container's host `NAME`", DefaultText: "the beginning of its id", Destination: &o.hostname},
		&cli.StringFlag{Name: "network", Aliases: []string{"net"}, Usage: "`MODE` none (a loopback interface only), host or container:NAME", Value: "none", Destination: &o.network},
		&cli.StringSliceFlag{Name: "cap-add", Usage: "give `CAPABILITY`, or ALL", Destination: &o.capAdd},
		&cli.StringSliceFlag{Name: "cap-drop", Usage: "take `CAPABILITY`, or ALL, away", Destination: &o.capDrop},
		&cli.BoolFlag{Name: "privileged", Usage: "give all capabilities and devices, and no seccomp filter: as powerful as root on the host", Destination: &o.privileged},
		&cli.BoolFlag{Name: "init", Usage: "run an init that reaps orphans and forwards signals to the program", Destination: &o.init},
		&cli.StringFlag{Name: "runtime", Usage: "run it with the OCI runtime `PROGRAM`, such as runc", DefaultText: "built in", Destination: &o.runtime},
	}
}

// Given takes note of which flags there are on the command line. A limit that is empty is refused: a script's variable that was never
// set must not mean that there is none.
func (o *Options) Given(isSet func(flag string) bool) error {
	o.entrypointSet = isSet("entrypoint")
	for _, f := range []struct{ flag, value string }{
		{"memory", o.resources.memory},
		{"memory-reservation", o.resources.reservation},
		{"memory-swap", o.resources.swap},
		{"cpus", o.resources.cpus},
		{"shm-size", o.shmSize},
		{"disk", o.disk.disk},
		{"rootfs", o.Rootfs},
	} {
		if f.value == "" && isSet(f.flag) {
			return invalid("--%s is empty: give a value, or leave it out", f.flag)
		}
	}
	return nil
}
