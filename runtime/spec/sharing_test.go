package spec_test

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestNamespaces(t *testing.T) {
	joined := spec.Joined{specs.PIDNamespace: "/p", specs.IPCNamespace: "/i", specs.NetworkNamespace: "/n"}
	for name, c := range map[string]struct {
		settings spec.Settings
		v2       bool
		joined   spec.Joined
		want     []string
	}{
		"v1":         {spec.Settings{}, false, nil, []string{"mount", "uts", "pid", "ipc", "network"}},
		"v2":         {spec.Settings{}, true, nil, []string{"mount", "uts", "pid", "ipc", "network", "cgroup"}},
		"privileged": {spec.Settings{Privileged: true}, true, nil, []string{"mount", "uts", "pid", "ipc", "network", "cgroup"}},
		"all of the host": {
			spec.Settings{HostNetwork: true, Sharing: spec.Sharing{PID: "host", IPC: "host", UTS: "host", Cgroup: "host"}}, true, nil, []string{"mount"},
		},
		"private cgroups on v1": {spec.Settings{Sharing: spec.Sharing{Cgroup: "private"}}, false, nil, []string{"mount", "uts", "pid", "ipc", "network", "cgroup"}},
		"shareable and none":    {spec.Settings{Sharing: spec.Sharing{IPC: "shareable"}}, false, nil, []string{"mount", "uts", "pid", "ipc", "network"}},
		"of another":            {spec.Settings{Sharing: spec.Sharing{PID: "container:a", IPC: "container:a", Network: "container:a"}}, false, joined, []string{"mount", "uts", "pid/p", "ipc/i", "network/n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, ns := range spec.Namespaces(c.settings, c.v2, c.joined) {
				got = append(got, string(ns.Type)+ns.Path)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSharedMemoryOfConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		settings spec.Settings
		memory   string
		want     string // type and source
	}{
		"of its own":  {spec.Settings{}, "", "tmpfs shm"},
		"of the host": {spec.Settings{Sharing: spec.Sharing{IPC: "host"}}, "/dev/shm", "bind /dev/shm"},
		"none":        {spec.Settings{Sharing: spec.Sharing{IPC: "none"}}, "", ""},
		"the user's own goes first": {
			spec.Settings{Sharing: spec.Sharing{IPC: "host"}, Mounts: []spec.Mount{{Type: "tmpfs", Target: "/dev/shm"}}}, "/dev/shm", "tmpfs tmpfs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := spec.New(c.settings, spec.Facts{SharedMemory: c.memory})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, m := range config.Mounts {
				if m.Destination == spec.SharedMemoryPath {
					got += m.Type + " " + m.Source
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if m := spec.SharedMemory(spec.Settings{}); m.Type != "tmpfs" || !slices.Contains(m.Options, "mode=1777") {
		t.Errorf("got %+v", m)
	}
}

func TestHostNameOfTheHostIsNotSet(t *testing.T) {
	config, err := spec.New(spec.Settings{Hostname: "box", Sharing: spec.Sharing{UTS: "host"}}, spec.Facts{})
	if err != nil || config.Hostname != "" || !slices.Contains(config.Process.Env, "HOSTNAME=box") {
		t.Errorf("got %q, %v, %v", config.Hostname, config.Process.Env, err)
	}
}

func TestDonor(t *testing.T) {
	if name, ok := spec.Donor(spec.DonorMode("x")); name != "x" || !ok {
		t.Errorf("got %q, %v", name, ok)
	}
	if _, ok := spec.Donor("host"); ok {
		t.Error("host names a container")
	}
}
