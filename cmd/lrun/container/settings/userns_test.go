package settings_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestUserNamespace(t *testing.T) {
	for mode, want := range map[string]spec.UserNamespace{
		"":                        {},
		"host":                    {},
		"auto":                    {Auto: true},
		"0:100000:65536":          spec.SameIDs(spec.IDRange{Host: 100000, Size: 65536}),
		"0:1000:1,1:100000:65536": spec.SameIDs(spec.IDRange{Host: 1000, Size: 1}, spec.IDRange{Container: 1, Host: 100000, Size: 65536}),
	} {
		c, err := describe(t, plainImage(), "--userns="+mode, "img")
		if err != nil || !reflect.DeepEqual(c.Settings.UserNS, want) {
			t.Errorf("%s: got %+v, %v", mode, c.Settings.UserNS, err)
		}
	}
}

func TestUserNamespaceRefuses(t *testing.T) {
	for line, want := range map[string]struct {
		class error
		text  string
	}{
		"--userns keep-id":                    {errdefs.ErrNotImplemented, "users without privilege"},
		"--userns keep-id:uid=5":              {errdefs.ErrNotImplemented, "users without privilege"},
		"--userns nomap":                      {errdefs.ErrNotImplemented, "users without privilege"},
		"--userns private":                    {errdefs.ErrNotImplemented, "which ids"},
		"--userns container:web":              {errdefs.ErrNotImplemented, "do not share"},
		"--userns ns:/proc/1/ns/user":         {errdefs.ErrNotImplemented, "not joined"},
		"--userns auto:size=10":               {errdefs.ErrNotImplemented, "65536"},
		"--userns root":                       {errdefs.ErrInvalidArgument, "neither host nor auto"},
		"--userns 0:0:65536":                  {errdefs.ErrInvalidArgument, "the host's root"},
		"--userns auto --privileged":          {errdefs.ErrInvalidArgument, "--privileged"},
		"--userns 0:5:5 --privileged":         {errdefs.ErrInvalidArgument, "--privileged"},
		"--userns auto --pid host":            {errdefs.ErrInvalidArgument, "--pid host"},
		"--userns auto --pid container:a":     {errdefs.ErrInvalidArgument, "--pid container:a"},
		"--userns auto --ipc host":            {errdefs.ErrInvalidArgument, "--ipc host"},
		"--userns auto --ipc shareable":       {errdefs.ErrInvalidArgument, "--ipc shareable"},
		"--userns auto --rootfs /":            {errdefs.ErrNotImplemented, "--rootfs"},
		"--userns auto --uts host":            {errdefs.ErrInvalidArgument, "--uts host"},
		"--userns auto --cgroupns host":       {errdefs.ErrInvalidArgument, "--cgroupns host"},
		"--userns auto --network container:a": {errdefs.ErrInvalidArgument, "--network container:a"},
		"--userns auto --network host":        {errdefs.ErrInvalidArgument, "--network host"},
	} {
		t.Run(line, func(t *testing.T) {
			_, err := describe(t, plainImage(), append(strings.Fields(line), "img")...)
			if !errors.Is(err, want.class) || !strings.Contains(err.Error(), want.text) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := describe(t, plainImage(), "--userns=auto", "--ipc=none", "--cgroupns=private", "img"); err != nil {
		t.Error(err)
	}
	if _, err := describe(t, plainImage(), "--userns=host", "--privileged", "--network=host", "--runtime=runc", "img"); err != nil {
		t.Error(err)
	}
}
