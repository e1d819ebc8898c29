package spec_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestParseDeviceRule(t *testing.T) {
	for text, want := range map[string]string{
		"c 1:3 rwm": `{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}`,
		"b *:* r":   `{"allow":true,"type":"b","access":"r"}`,
		"a 7:* mw":  `{"allow":true,"type":"a","major":7,"access":"mw"}`,
	} {
		rule, err := spec.ParseDeviceRule(text)
		got, merr := json.Marshal(rule)
		if err = errors.Join(err, merr); err != nil || string(got) != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "c 1:3", "c 1:3 ", "c 1:3 x", "c 1:3 rr", "d 1:3 r", "c 1 r", "c -1:3 r", "c 1:4294967296 r", "c 1:3 r w", "c  1:3 r"} {
		if rule, err := spec.ParseDeviceRule(text); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q is %+v, %v", text, rule, err)
		}
	}
}

func FuzzParseDeviceRule(f *testing.F) {
	for _, s := range []string{"c 1:3 rwm", "b *:* r", "a *:9 m", "c :: r", "c 1:+3 r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rule, err := spec.ParseDeviceRule(s)
		if err == nil && (!rule.Allow || !spec.IsDeviceAccess(rule.Access) || rule.Major != nil && *rule.Major < 0 || rule.Minor != nil && *rule.Minor < 0) {
			t.Errorf("%q is %+v", s, rule)
		}
	})
}

// found returns the nodes and the rules that a container with devices has more than another one.
func found(t *testing.T, s spec.Settings) (nodes, rules string) {
	t.Helper()
	h, err := spec.FindHost(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Args = []string{"true"}
	c, err := spec.New(s, spec.Facts{Host: h, Devices: spec.DefaultDevices()})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range c.Linux.Devices {
		nodes += d.Path + " "
	}
	for _, r := range c.Linux.Resources.Devices {
		if r.Major != nil && *r.Major == 1 && r.Minor != nil && *r.Minor == 5 {
			rules += r.Access + " "
		}
	}
	return nodes, rules
}

func TestDevices(t *testing.T) {
	const before = "/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "
	for name, c := range map[string]struct {
		s            spec.Settings
		nodes, rules string
	}{
		"none":              {spec.Settings{}, before, "rwm "},
		"one more":          {spec.Settings{Devices: spec.Devices{Nodes: []spec.Device{{Host: "/dev/zero", Path: "/z", Access: "r"}}}}, before + "/z ", "rwm r "},
		"in place of one":   {spec.Settings{Devices: spec.Devices{Nodes: []spec.Device{{Host: "/dev/zero", Path: "/dev/null", Access: "r"}}}}, before[10:] + "/dev/null ", "rwm r "},
		"twice":             {spec.Settings{Devices: spec.Devices{Nodes: []spec.Device{{Host: "/dev/random", Path: "/z", Access: "r"}, {Host: "/dev/zero", Path: "/z", Access: "w"}}}}, before + "/z ", "rwm w "},
		"privileged":        {spec.Settings{Privileged: true, Devices: spec.Devices{Nodes: []spec.Device{{Host: "/dev/zero", Path: "/z", Access: "r"}}}}, before + "/z ", ""},
		"a rule":            {spec.Settings{Devices: spec.Devices{Rules: []string{"c 1:5 m"}}}, before, "rwm m "},
		"a link to another": {spec.Settings{Devices: spec.Devices{Nodes: []spec.Device{{Host: link(t, "/dev/zero"), Path: "/z", Access: "r"}}}}, before + "/z ", "rwm r "},
	} {
		t.Run(name, func(t *testing.T) {
			if nodes, rules := found(t, c.s); nodes != c.nodes || rules != c.rules {
				t.Errorf("got nodes %q, rules %q\nwant %q, %q", nodes, rules, c.nodes, c.rules)
			}
		})
	}
}

func link(t *testing.T, to string) string {
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDevicesThatAreNot(t *testing.T) {
	for host, class := range map[string]error{"/dev/no-such": errdefs.ErrNotFound, "/etc/passwd": errdefs.ErrInvalidArgument, t.TempDir(): errdefs.ErrInvalidArgument} {
		_, err := spec.FindHost(spec.Settings{Devices: spec.Devices{Nodes: []spec.Device{{Host: host, Path: "/x", Access: "r"}}}})
		if !errors.Is(err, class) {
			t.Errorf("%s: %v", host, err)
		}
	}
}
