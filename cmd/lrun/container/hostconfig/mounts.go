package hostconfig

import (
	"cmp"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Mounts is what HostConfig says of mounts.
type Mounts struct {
	Binds []string          // as -v has them
	Tmpfs map[string]string `json:",omitempty"`
}

// MountsOf returns what HostConfig says of mounts; an anonymous volume is not in it.
func MountsOf(list []spec.Mount) Mounts {
	var m Mounts
	for _, one := range list {
		switch {
		case one.Type == "tmpfs":
			if m.Tmpfs == nil {
				m.Tmpfs = map[string]string{}
			}
			m.Tmpfs[one.Target] = strings.Join(one.Options, ",")
		case !one.Anonymous:
			words := []string{sourceOf(one), one.Target}
			if mode := modeOf(one); mode != "" {
				words = append(words, mode)
			}
			m.Binds = append(m.Binds, strings.Join(words, ":"))
		}
	}
	return m
}

func sourceOf(m spec.Mount) string {
	if m.Type == "volume" {
		return m.Name
	}
	return m.Source
}

// modeOf is what -v said, or would have said.
func modeOf(m spec.Mount) string {
	if m.Mode == "" && m.ReadOnly {
		return "ro"
	}
	return m.Mode
}

// MountPoint is one of Mounts.
type MountPoint struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
	Options     []string `json:",omitempty"`
}

// MountPoints shows mounts as inspect does.
func MountPoints(list []spec.Mount) []MountPoint {
	points := []MountPoint{}
	for _, m := range list {
		p := MountPoint{
			Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Target, Mode: modeOf(m), RW: !m.ReadOnly, Options: m.Options,
		}
		switch m.Type {
		case "bind":
			p.Propagation = cmp.Or(m.Propagation, "rprivate")
		case "volume":
			p.Driver = "local"
		}
		points = append(points, p)
	}
	return points
}
