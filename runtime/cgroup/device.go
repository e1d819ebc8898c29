package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// deviceRule is a checked rule. Of the rules that match an access, the last decides.
type deviceRule struct {
	allow        bool
	kind         byte  // 'b', 'c' or 'a' for both
	major, minor int64 // -1: any
	access       string
}

// all says whether r is about every access to every device.
func (r deviceRule) all() bool {
	return r.kind == 'a' && r.major < 0 && r.minor < 0 && len(r.access) == 3
}

func deviceRules(list []specs.LinuxDeviceCgroup) ([]deviceRule, error) {
	rules := make([]deviceRule, 0, len(list))
	for i, d := range list {
		r := deviceRule{allow: d.Allow, kind: 'a', major: -1, minor: -1}
		switch d.Type {
		case "b", "c":
			r.kind = d.Type[0]
		case "", "a":
		default:
			return nil, fmt.Errorf("device rule %d: type %q: %w", i, d.Type, errdefs.ErrInvalidArgument)
		}
		for _, n := range []struct {
			from *int64
			to   *int64
		}{{d.Major, &r.major}, {d.Minor, &r.minor}} {
			if n.from != nil {
				*n.to = *n.from
			}
			if *n.to < -1 || *n.to > 1<<31-1 {
				return nil, fmt.Errorf("device rule %d: number %d: %w", i, *n.to, errdefs.ErrInvalidArgument)
			}
		}
		for _, letter := range "rwm" {
			if strings.ContainsRune(d.Access, letter) {
				r.access += string(letter)
			}
		}
		if r.access == "" || len(r.access) != len(d.Access) {
			return nil, fmt.Errorf("device rule %d: access %q: %w", i, d.Access, errdefs.ErrInvalidArgument)
		}
		if r.all() { // what came before does not count
			rules = rules[:0]
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// restrictDevices sets the rules of a new group: in v1 by its files, in v2 by a program.
func (g *Group) restrictDevices(list []specs.LinuxDeviceCgroup) error {
	rules, err := deviceRules(list)
	if err != nil || len(rules) == 0 {
		return err
	}
	if dir, unified := g.with("devices"); dir != "" && !unified {
		return restrictV1(dir, rules)
	}
	if len(rules) == 1 && rules[0].all() && rules[0].allow {
		return nil
	}
	if dir := g.unified(); dir != "" {
		return attachDeviceProgram(dir, deviceProgram(rules))
	}
	return fmt.Errorf("restrict devices: neither cgroup v2 nor the v1 controller is there: %w", errdefs.ErrNotImplemented)
}

// restrictV1 writes rules to the files of the v1 controller, each of which is opened once.
func restrictV1(dir string, rules []deviceRule) error {
	fds := map[string]int{}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, r := range rules {
		file := dir + "/devices.deny"
		if r.allow {
			file = dir + "/devices.allow"
		}
		if _, ok := fds[file]; !ok {
			fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("restrict devices: open %s: %w", file, err)
			}
			fds[file] = fd
		}
		for _, line := range r.v1() {
			_, err := unix.Write(fds[file], []byte(line))
			switch {
			case errors.Is(err, unix.EPERM):
				return fmt.Errorf("set %s to %q: the group above does not allow that: %w", file, line, err)
			case err != nil:
				return fmt.Errorf("set %s to %q: %w", file, line, err)
			}
		}
	}
	return nil
}

// v1 returns r as lines for the v1 files, where "a" stands for all accesses to all devices whatever follows it.
func (r deviceRule) v1() []string {
	if r.all() {
		return []string{"a"}
	}
	rest := " " + v1Number(r.major) + ":" + v1Number(r.minor) + " " + r.access
	if r.kind == 'a' {
		return []string{"b" + rest, "c" + rest}
	}
	return []string{string(r.kind) + rest}
}

func v1Number(n int64) string {
	if n < 0 {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}
