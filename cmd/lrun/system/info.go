package system

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
)

type infoOptions struct{ format string }

func infoCommand(e *env.Env) *cli.Command {
	var o infoOptions
	return &cli.Command{
		Usage: "show what lrun finds on this machine and in its root",
		Description: `Among it: the driver and why it was chosen, the layout of cgroups, what this process may not do.

Examples:
  lrun info --format '{{.Driver}}'
  lrun info --format json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "show 'json' or what a Go `TEMPLATE` makes of it", DefaultText: "text", Destination: &o.format},
		},
		Action: func(c *cli.Context) error { return runInfo(c.Context, e, o) },
	}
}

// info is what `lrun info` knows, in Docker's words where it has them.
type info struct {
	ServerVersion       string
	RootDir             string
	StateDir            string
	BackingFilesystem   string
	Images              int
	Containers          int
	ContainersRunning   int
	ContainersPaused    int
	ContainersStopped   int
	Driver              string
	DriverChosen        bool
	DriverMethod        string
	DriverReason        string
	CgroupVersion       string
	CgroupHierarchies   []cgroupHierarchy
	Seccomp             bool
	AppArmor            string // the profile of a container; empty: the kernel has none
	MissingCapabilities []string
	KernelVersion       string
	OperatingSystem     string
	OSType              string
	Architecture        string
	NCPU                int
	MemTotal            int64
	Name                string
	Warnings            []string
}

// cgroupHierarchy is one mounted hierarchy.
type cgroupHierarchy struct {
	Mountpoint  string
	Version     int
	Controllers []string
}

func runInfo(ctx context.Context, e *env.Env, o infoOptions) error {
	i := info{
		ServerVersion: about().Version, RootDir: e.Root(), StateDir: e.State(),
		OSType: runtime.GOOS, Architecture: runtime.GOARCH, NCPU: runtime.NumCPU(),
	}
	if err := i.stores(ctx, e); err != nil {
		return err
	}
	if err := i.machine(); err != nil { // the rest is worth seeing
		i.Warnings = append(i.Warnings, err.Error())
	}
	if o.format != "" {
		return format.Value(e.Out, o.format, i)
	}
	var b strings.Builder
	i.write(&b)
	_, err := io.WriteString(e.Out, b.String())
	return err
}

// stores adds what the root holds.
func (i *info) stores(ctx context.Context, e *env.Env) error {
	images, err := e.Images()
	if err != nil {
		return err
	}
	records, err := images.List(ctx)
	if err != nil {
		return err
	}
	distinct := map[string]bool{}
	for _, r := range records {
		distinct[r.Image.String()] = true
	}
	i.Images = len(distinct)
	driver, err := e.Driver()
	if err != nil {
		return err
	}
	i.Driver, i.DriverChosen, i.DriverReason = driver.Name, driver.Chosen, driver.Reason
	if driver.Name == "overlayfs" {
		i.DriverMethod = driver.Method.String()
	}
	if e.Containers == nil {
		return nil
	}
	states, err := e.Containers.Count(ctx)
	for state, n := range states {
		i.Containers += n
		switch state {
		case "running":
			i.ContainersRunning += n
		case "paused":
			i.ContainersPaused += n
		default:
			i.ContainersStopped += n
		}
	}
	return err
}

// write writes i for people.
func (i *info) write(b *strings.Builder) {
	line := func(label, text string, args ...any) {
		b.WriteString(strings.TrimRight(label+": "+format.Visible(fmt.Sprintf(text, args...)), " ") + "\n")
	}
	line("Version", "%s", i.ServerVersion)
	line("Root", "%s (%s)", i.RootDir, i.BackingFilesystem)
	line("State", "%s", i.StateDir)
	line("Containers", "%d", i.Containers)
	line(" Running", "%d", i.ContainersRunning)
	line(" Paused", "%d", i.ContainersPaused)
	line(" Stopped", "%d", i.ContainersStopped)
	line("Images", "%d", i.Images)
	line("Driver", "%s", i.Driver)
	if i.DriverMethod != "" {
		line(" Mounted", "%s", i.DriverMethod)
	}
	switch {
	case i.DriverChosen:
		line(" Reason", "%s", strings.TrimSuffix("chosen with --driver or $LRUN_DRIVER; "+i.DriverReason, "; "))
	case i.DriverReason == "":
		line(" Reason", "the best way works")
	default:
		line(" Reason", "%s", i.DriverReason)
	}
	line("Cgroup Version", "%s", i.CgroupVersion)
	for _, h := range i.CgroupHierarchies {
		line(" "+h.Mountpoint, "v%d %s", h.Version, strings.Join(h.Controllers, " "))
	}
	line("Seccomp", "%s", map[bool]string{true: "yes", false: "not in this kernel"}[i.Seccomp])
	line("AppArmor", "%s", appArmorWords(i.AppArmor))
	line("Missing Capabilities", "%s", strings.Join(append(i.MissingCapabilities, []string{"none"}[min(1, len(i.MissingCapabilities)):]...), " "))
	line("Kernel Version", "%s", i.KernelVersion)
	line("Operating System", "%s", i.OperatingSystem)
	line("OSType", "%s", i.OSType)
	line("Architecture", "%s", i.Architecture)
	line("CPUs", "%d", i.NCPU)
	line("Total Memory", "%s", units.BytesSize(float64(i.MemTotal)))
	line("Name", "%s", i.Name)
	for _, w := range i.Warnings {
		line("WARNING", "%s", w)
	}
}
