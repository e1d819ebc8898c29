// Package device restricts which devices the processes of a control group may use: in cgroup v1 by the files of its
// devices controller, in v2 by an eBPF program.
package device

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Rules are checked rules. Of those that match an access, the last decides; what none matches is allowed.
type Rules []rule

type rule struct {
	allow        bool
	kind         byte  // 'b', 'c' or 'a' for both
	major, minor int64 // -1: any
	access       string
}

// all says whether r is about every access to every device.
func (r rule) all() bool {
	return r.kind == 'a' && r.major < 0 && r.minor < 0 && len(r.access) == 3
}

// Parse checks list, in which no type means both, and no number any. A rule that cannot be is
// errdefs.ErrInvalidArgument.
func Parse(list []specs.LinuxDeviceCgroup) (Rules, error) {
	rules := make(Rules, 0, len(list))
	for i, d := range list {
		r := rule{allow: d.Allow, kind: 'a', major: -1, minor: -1}
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

// AllowAll says whether every access to every device is allowed.
func (rs Rules) AllowAll() bool {
	return len(rs) == 0 || len(rs) == 1 && rs[0].all() && rs[0].allow
}

// WriteV1 sets the rules of dir, a group of the v1 devices controller that has no group below it.
func (rs Rules) WriteV1(dir string) error {
	fds := map[string]int{}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, r := range rs {
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
func (r rule) v1() []string {
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
