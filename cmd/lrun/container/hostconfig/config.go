package hostconfig

import (
	"time"

	"github.com/lrun-dev/lrun/runtime"
)

// Config is what the container's program is, with the names of Docker's inspect.
type Config struct {
	Hostname    string
	Domainname  string
	User        string
	Tty         bool
	OpenStdin   bool
	Env         []string
	Entrypoint  []string
	Cmd         []string
	Image       string
	WorkingDir  string
	StopSignal  string `json:",omitempty"`
	StopTimeout *int   `json:",omitempty"`
	Labels      map[string]string
}

// ConfigOf returns that of a container.
func ConfigOf(c runtime.Container) Config {
	s := c.Settings
	return Config{
		Hostname: s.Hostname, Domainname: s.Names.Domain, User: s.User, Tty: s.Terminal, OpenStdin: c.Interactive, Env: s.Env,
		Entrypoint: s.Args[:c.Entrypoint], Cmd: s.Args[c.Entrypoint:], Image: c.Image,
		WorkingDir: s.Cwd, StopSignal: s.StopSignal, StopTimeout: s.StopTimeout, Labels: c.Labels,
	}
}

// State is what has become of the program. What lrun's containers never are, they are never said to be.
type State struct {
	Status     runtime.Status
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
}

// StateOf returns it for templates.
func StateOf(st runtime.State) State {
	return State{
		Status: st.Status, Running: st.Status == runtime.Running, OOMKilled: st.OOMKilled, Pid: st.Pid, ExitCode: st.ExitCode,
		Error: st.Error, StartedAt: st.StartedAt, FinishedAt: st.FinishedAt,
	}
}

// NetworkSettings says which network a container has. None of them has an address of its own.
type NetworkSettings struct {
	IPAddress string
	Ports     map[string]struct{}
	Networks  map[string]struct{}
}

// NetworkOf returns those of a container.
func NetworkOf(c runtime.Container) NetworkSettings {
	return NetworkSettings{Ports: map[string]struct{}{}, Networks: map[string]struct{}{c.Network: {}}}
}

// RestartPolicy is Docker's.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// Later is what no container of lrun has yet, but templates ask for.
type Later struct {
	RestartPolicy RestartPolicy
	PortBindings  map[string]struct{}
}

// None says that there is none of it.
func None() Later { return Later{RestartPolicy{Name: "no"}, map[string]struct{}{}} }
