package settings

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/signal"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// notGiven is the value of a number's flag that was not given, where every other one means something.
const notGiven = -1 << 31

// tuningFlags are about the container's first process and how it is ended.
type tuningFlags struct {
	ulimits, groups, annotations cli.StringSlice

	stopSignal               string
	stopTimeout, oomScoreAdj int
}

func (f *tuningFlags) flags() []cli.Flag {
	f.oomScoreAdj, f.stopTimeout = notGiven, notGiven // as reading the flags would leave them
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "ulimit", Usage: "set a limit of setrlimit(2), `NAME=SOFT[:HARD]`, such as nofile=1024:2048; -1 is no limit", DefaultText: "lrun's own", Destination: &f.ulimits},
		&cli.StringSliceFlag{Name: "group-add", Usage: "also be in `GROUP`, a name of the image or a number", Destination: &f.groups},
		&cli.IntFlag{Name: "oom-score-adj", Usage: "how gladly the kernel kills it when memory is short, a `NUMBER` from -1000 to 1000", Value: notGiven, DefaultText: "lrun's own", Destination: &f.oomScoreAdj},
		&cli.StringFlag{Name: "stop-signal", Usage: "'lrun stop' asks with `SIGNAL`", DefaultText: "the image's, else TERM", Destination: &f.stopSignal},
		&cli.IntFlag{Name: "stop-timeout", Usage: "'lrun stop' kills after `SECONDS`; -1 waits for ever", Value: notGiven, DefaultText: "10", Destination: &f.stopTimeout},
		&cli.StringSliceFlag{Name: "annotation", Usage: "write `NAME=VALUE` into the OCI runtime's configuration", Destination: &f.annotations},
	}
}

// tune adds to s what the flags say.
func (f *tuningFlags) tune(s *spec.Settings) error {
	s.Tuning.Groups, s.StopSignal = f.groups.Value(), f.stopSignal
	if f.oomScoreAdj != notGiven {
		if f.oomScoreAdj < -1000 || f.oomScoreAdj > 1000 {
			return invalid("--oom-score-adj %d: give a number from -1000 to 1000", f.oomScoreAdj)
		}
		s.Tuning.OOMScoreAdj = &f.oomScoreAdj
	}
	if f.stopTimeout != notGiven {
		if f.stopTimeout < -1 {
			return invalid("--stop-timeout %d: give seconds, or -1 to wait for ever", f.stopTimeout)
		}
		s.StopTimeout = &f.stopTimeout
	}
	if f.stopSignal != "" {
		if _, err := signal.Parse(f.stopSignal); err != nil {
			return err
		}
	}
	if slices.Contains(f.groups.Value(), "") {
		return invalid("--group-add \"\": give the name or the number of a group")
	}
	for _, a := range f.annotations.Value() {
		name, value, _ := strings.Cut(a, "=")
		if name == "" {
			return invalid("--annotation %q: give NAME=VALUE", a)
		}
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[name] = value
	}
	var err error
	s.Tuning.Rlimits, err = rlimits(f.ulimits.Value())
	return err
}

// rlimits reads --ulimit; of one name the last holds.
func rlimits(values []string) ([]spec.Rlimit, error) {
	byName := map[string]spec.Rlimit{}
	for _, v := range values {
		name, _, _ := strings.Cut(v, "=")
		if name == "as" {
			return nil, invalid("--ulimit %q: limit memory with --memory", v)
		}
		l, err := units.ParseUlimit(v)
		if err != nil {
			return nil, invalid("--ulimit %q: %w; give NAME=SOFT[:HARD] with numbers, -1 for no limit, such as nofile=1024:2048", v, err)
		}
		if l.Soft < -1 || l.Hard < -1 {
			return nil, invalid("--ulimit %q: give numbers from 0, or -1 for no limit", v)
		}
		byName[name] = spec.Rlimit{Name: name, Soft: l.Soft, Hard: l.Hard}
	}
	var list []spec.Rlimit
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[name])
	}
	return list, nil
}
