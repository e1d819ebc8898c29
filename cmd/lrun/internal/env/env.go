// Package env is the surroundings of one lrun process: its streams, its settings, and the stores, which it opens
// when a command first asks for them. It is the only place where the parts of lrun are put together.
package env

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/machine"
	"github.com/lrun-dev/lrun/snapshot"
)

// Where things are unless --root and --state say otherwise.
const (
	DefaultRoot  = "/var/lib/lrun"
	DefaultState = "/run/lrun"
)

// Env is what a command works with. Make it with New.
type Env struct {
	In  io.Reader
	Out io.Writer // results and nothing else; a closed pipe is ErrOutClosed
	Err io.Writer // everything else that a person reads
	Now func() time.Time
	// UID is whom the process works as: only root may open the stores.
	UID func() int
	// Containers is asked by commands that are about images. Nil: there are no containers.
	Containers Containers

	root, state, driver, config string
	debug                       bool
	noSync, noSyncGiven         bool
	probe                       func(dir, stateDir string) overlay.Support
	probeOnce                   func(dir string) overlay.Support
	machine                     *machine.Machine

	opened
}

// Containers is what commands about images must know of containers.
type Containers interface {
	// ImageUse returns a function that names a container that uses an image, "" for none, preferring one that
	// runs, also one that is being made and has its snapshot already. It reads the containers once. The answer stands as long
	// as the root is locked.
	ImageUse(ctx context.Context) (func(id digest.Digest) (container string, running bool), error)
	// Count says how many containers are in each state ("running", "exited", …).
	Count(ctx context.Context) (map[string]int, error)
	// VolumeUse returns the ids of the containers that use each volume, by its name.
	VolumeUse(ctx context.Context) (map[string][]string, error)
	// Prune removes the container id, which does not run; it may have no record. One that runs, or that another process
	// has in its hands, is errdefs.ErrFailedPrecondition.
	Prune(ctx context.Context, id string) error
}

// New returns the surroundings of this process. It opens nothing.
func New() *Env {
	return With(os.Stdin, Output(os.Stdout), os.Stderr)
}

// With returns surroundings with the given streams.
func With(in io.Reader, out, err io.Writer) *Env {
	e := &Env{
		In: in, Out: out, Err: err, Now: time.Now, UID: os.Geteuid, root: DefaultRoot, state: DefaultState,
		probe: overlay.CachedProbe, probeOnce: overlay.Probe, machine: machine.New(),
	}
	e.opened = e.lazily()
	return e
}

// Flags are the global flags, which set e when they are read.
func (e *Env) Flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "root", Usage: "keep images and containers in `DIR`",
			Value: DefaultRoot, EnvVars: []string{"LRUN_ROOT"}, Destination: &e.root, Action: isGiven("root", "LRUN_ROOT"),
		},
		&cli.StringFlag{
			Name: "state", Usage: "keep what ends with this boot in `DIR`",
			Value: DefaultState, EnvVars: []string{"LRUN_STATE"}, Destination: &e.state, Action: isGiven("state", "LRUN_STATE"),
		},
		&cli.StringFlag{
			Name: "driver", Usage: "keep layers with `NAME`: overlayfs, btrfs or vfs",
			EnvVars: []string{"LRUN_DRIVER"}, DefaultText: "the best that works here", Destination: &e.driver,
		},
		&cli.StringFlag{
			Name: "config", Usage: "read settings from `FILE` (docs/config.md)",
			EnvVars: []string{"LRUN_CONFIG"}, DefaultText: DefaultConfig + ", if it is there", Destination: &e.config,
		},
		&cli.BoolFlag{
			Name: "no-sync", Usage: "sync nothing: faster, but a power loss may damage what is stored",
			Destination: &e.noSync,
			Action: func(*cli.Context, bool) error {
				e.noSyncGiven = true
				return nil
			},
		},
		&cli.BoolFlag{Name: "debug", Aliases: []string{"D"}, Usage: "say more on standard error", Destination: &e.debug},
	}
}

// isGiven refuses an empty value of a flag: a variable of a script that is not set must not mean the host's own store. An
// empty variable of the environment is as none.
func isGiven(name, variable string) func(*cli.Context, string) error {
	return func(_ *cli.Context, value string) error {
		if inherited, set := os.LookupEnv(variable); value == "" && (!set || inherited != "") {
			return fmt.Errorf("--%s is empty; name a directory, or leave it out for the default: %w", name, errdefs.ErrInvalidArgument)
		}
		return nil
	}
}

// DriverFlag is the global flag of that name for a command of its own.
func (e *Env) DriverFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "driver", Usage: "keep its layers with `NAME`, as 'lrun --driver NAME' does", DefaultText: "that of lrun --driver",
		Action: func(_ *cli.Context, name string) error {
			e.driver = name
			return checkDriver(name)
		},
	}
}

// Root is the absolute path of the store.
func (e *Env) Root() string { return absolute(cmp.Or(e.root, DefaultRoot)) }

// State is the absolute path of what ends with this boot.
func (e *Env) State() string { return absolute(cmp.Or(e.state, DefaultState)) }

// Debug tells whether --debug was given.
func (e *Env) Debug() bool { return e.debug }

// absolute is path, from the working directory if it is relative.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Log is for what only --debug shows. Without it nothing is written.
func (e *Env) Log() *slog.Logger {
	if !e.debug {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(e.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Notice writes one line on standard error that is not an error.
func (e *Env) Notice(text string, args ...any) {
	_, _ = fmt.Fprintln(e.Err, "lrun: "+format.Visible(fmt.Sprintf(text, args...))) // nowhere is left to report to
}

// ExpectStart says that a container will be started soon: what that needs of the machine is found out meanwhile.
func (e *Env) ExpectStart() { e.machine.Expect() }

// Privileged returns an error that says what to do when this process is not root's.
func (e *Env) Privileged() error {
	if e.UID() == 0 {
		return nil
	}
	return errdefs.ErrPermissionDenied.WithMessage("lrun needs root for this: run it with sudo")
}

// ErrOutClosed is the error of writing to standard output when nobody reads it any more.
var ErrOutClosed = errors.New("standard output is closed")

// Output wraps a file for Env.Out.
func Output(f *os.File) io.Writer { return output{f} }

// output does not embed its file, whose other ways of writing would get past Write.
type output struct{ file *os.File }

// Fd is the descriptor of the file.
func (o output) Fd() uintptr { return o.file.Fd() }

func (o output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = ErrOutClosed
	}
	return n, err
}

// opened are the stores, each opened at most once, when first asked for.
type opened struct {
	configuration func() (Config, error)
	durability    func() (atomicfile.Sync, error)

	store     func() (string, error)
	blobs     func() (*blob.Store, error)
	images    func() (*image.Store, error)
	pick      func() (Driver, error)
	snapshots func() (*snapshot.Store, error)
	rootfs    func() (*rootfs.Store, error)
	runtime   func() *runtime.Store
}

func (e *Env) lazily() opened {
	return opened{
		configuration: sync.OnceValues(e.readConfig),
		durability:    sync.OnceValues(e.decideSync),

		store:     sync.OnceValues(e.openRoot),
		blobs:     sync.OnceValues(e.openBlobs),
		images:    sync.OnceValues(e.openImages),
		pick:      sync.OnceValues(e.pickDriver),
		snapshots: sync.OnceValues(e.openSnapshots),
		rootfs:    sync.OnceValues(e.openRootfs),
		runtime:   sync.OnceValue(e.openRuntime),
	}
}
