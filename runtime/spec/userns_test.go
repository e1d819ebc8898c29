package spec_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestParseIDs(t *testing.T) {
	for s, want := range map[string][]spec.IDRange{
		"0:100000:65536":          {{Container: 0, Host: 100000, Size: 65536}},
		"0:1000:1,1:100000:65536": {{Container: 0, Host: 1000, Size: 1}, {Container: 1, Host: 100000, Size: 65536}},
		"5:7:1,0:8:5":             {{Container: 5, Host: 7, Size: 1}, {Container: 0, Host: 8, Size: 5}},
		"0:1:4294967294":          {{Container: 0, Host: 1, Size: 4294967294}},
		"0:2147483648:65536":      {{Container: 0, Host: 1 << 31, Size: 65536}},
	} {
		if got, err := spec.ParseIDs(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
	}
	many := "0:1:1"
	for i := range 400 {
		many += fmt.Sprintf(",%d:%d:1", i+10, i+100000)
	}
	for s, want := range map[string]string{
		"": "CONTAINER:HOST:SIZE", "0": "CONTAINER:HOST:SIZE", "0:1": "CONTAINER:HOST:SIZE", "0:1:2:3": "CONTAINER:HOST:SIZE",
		"a:b:c": "CONTAINER:HOST:SIZE", "0:1:0": "CONTAINER:HOST:SIZE", "0:-1:5": "CONTAINER:HOST:SIZE", "0:1:2,": "CONTAINER:HOST:SIZE",
		"0:1:4294967295": "CONTAINER:HOST:SIZE", "4294967295:1:1": "CONTAINER:HOST:SIZE", "0:4294967296:1": "CONTAINER:HOST:SIZE",
		"0:4294967290:6": "CONTAINER:HOST:SIZE", " 0:1:2": "CONTAINER:HOST:SIZE",
		"0:0:65536":                   "the host's root",
		"1:1000:5":                    "the container's root (0) is in no range",
		"0:1000:5,3:2000:5":           "same id of the container",
		"0:1000:5,10:1004:5":          "same id of the host",
		"0:1000:10,2:5000:1,20:6:900": "same id of the container",
		many:                          "a page of ranges",
	} {
		if got, err := spec.ParseIDs(s); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, %v, want %q", s, got, err, want)
		}
	}
}

func FuzzParseIDs(f *testing.F) {
	f.Add("0:100000:65536")
	f.Add("0:1000:1,1:100000:65536")
	f.Add("0:4294967294:1")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := spec.ParseIDs(s)
		if err != nil {
			return
		}
		u := spec.SameIDs(list...)
		seen := map[uint32]bool{}
		for _, r := range list {
			for _, id := range []uint32{r.Container, r.Container + r.Size - 1} {
				host, ok := u.HostUID(id)
				if !ok || host == 0 || host == 1<<32-1 || seen[host] && r.Size > 1 {
					t.Errorf("%q: %d is %d, %v", s, id, host, ok)
				}
				seen[host] = true
			}
		}
		if uid, gid := u.Root(); uid <= 0 || uid != gid {
			t.Errorf("%q: root is %d:%d", s, uid, gid)
		}
	})
}

func TestHostIDs(t *testing.T) {
	u := spec.SameIDs(spec.IDRange{Host: 1000, Size: 1}, spec.IDRange{Container: 10, Host: 5000, Size: 3})
	for id, want := range map[uint32]uint32{0: 1000, 10: 5000, 12: 5002} {
		if got, ok := u.HostUID(id); !ok || got != want {
			t.Errorf("%d is %d, %v", id, got, ok)
		}
	}
	for _, id := range []uint32{1, 9, 13, 1<<32 - 1} {
		if got, ok := u.HostGID(id); ok {
			t.Errorf("%d is %d", id, got)
		}
	}
	if got, ok := (spec.UserNamespace{}).HostUID(77); !ok || got != 77 {
		t.Errorf("on the host 77 is %d, %v", got, ok)
	}
}

func TestUserNamespaceInTheConfiguration(t *testing.T) {
	s := spec.Settings{Args: []string{"true"}, UserNS: spec.SameIDs(spec.IDRange{Host: 1000, Size: 10}), Mounts: []spec.Mount{
		{Type: "volume", Source: "/v", Target: "/v", IDMap: true}, {Type: "bind", Source: "/b", Target: "/b"}, {Type: "bind", Source: "/m", Target: "/m", IDMap: true},
	}}
	c, err := spec.New(s, spec.Facts{Bounding: all, Identity: spec.Identity{UID: 9, GID: 9, Groups: []uint32{1, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	if !slices.Equal(c.Linux.UIDMappings, want) || !slices.Equal(c.Linux.GIDMappings, want) {
		t.Errorf("got %v and %v", c.Linux.UIDMappings, c.Linux.GIDMappings)
	}
	if !slices.Contains(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace}) {
		t.Errorf("no user namespace in %v", c.Linux.Namespaces)
	}
	mapped := map[string]bool{"/v": true, "/m": true}
	for _, m := range c.Mounts {
		if slices.Contains(m.Options, "idmap") != mapped[m.Destination] || slices.Equal(m.UIDMappings, want) != mapped[m.Destination] {
			t.Errorf("%s: %q, %v", m.Destination, m.Options, m.UIDMappings)
		}
	}
	s.UserNS = spec.UserNamespace{}
	if c, err = spec.New(s, spec.Facts{Bounding: all}); err != nil || len(c.Linux.UIDMappings) != 0 {
		t.Errorf("got %v, %v", c.Linux.UIDMappings, err)
	}
	for _, m := range c.Mounts {
		if slices.Contains(m.Options, "idmap") {
			t.Errorf("%s is mapped without a user namespace", m.Destination)
		}
	}
}

func TestIdentityMustBeInTheUserNamespace(t *testing.T) {
	s := spec.Settings{Args: []string{"true"}, UserNS: spec.SameIDs(spec.IDRange{Host: 1000, Size: 10})}
	for want, id := range map[string]spec.Identity{
		"user 10 is in no range":    {UID: 10},
		"group 10 is in no range":   {GID: 10},
		"group 5000 is in no range": {UID: 1, GID: 1, Groups: []uint32{2, 5000}},
	} {
		if _, err := spec.New(s, spec.Facts{Bounding: all, Identity: id}); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
