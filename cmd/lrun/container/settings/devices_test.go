package settings_test

import (
	"encoding/json"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestDevices(t *testing.T) {
	for line, want := range map[string]string{
		"":                     `{}`,
		"--device /dev/a":      `{"nodes":[{"host":"/dev/a","path":"/dev/a","access":"rwm"}]}`,
		"--device /dev/a:r":    `{"nodes":[{"host":"/dev/a","path":"/dev/a","access":"r"}]}`,
		"--device /dev/a:/b/":  `{"nodes":[{"host":"/dev/a","path":"/b","access":"rwm"}]}`,
		"--device /a:/b:mr":    `{"nodes":[{"host":"/a","path":"/b","access":"mr"}]}`,
		"--device-cgroup-rule": `{"rules":["c 1:* r"]}`,
	} {
		words := append(strings.Fields(line), "img")
		if line == "--device-cgroup-rule" {
			words = []string{line, "c 1:* r", "img"}
		}
		c, err := describe(t, plainImage(), words...)
		got, merr := json.Marshal(c.Settings.Devices)
		if err = errors.Join(err, merr); err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", line, got, err, want)
		}
	}
	c, err := describe(t, plainImage(), "--sysctl", "net.a=b=c", "--sysctl", "net.a=d", "--sysctl", "kernel.sem=1 2", "img")
	if s := c.Settings.Sysctls; err != nil || len(s) != 2 || s["net.a"] != "d" || s["kernel.sem"] != "1 2" {
		t.Errorf("sysctls %v, %v", s, err)
	}
}

func TestDevicesRefused(t *testing.T) {
	for line, words := range map[string]string{
		"--device dev/a":              "absolute",
		"--device /dev/a:b":           "absolute",
		"--device /dev/a:/":           "absolute",
		"--device /dev/a:/b:":         "ACCESS",
		"--device /dev/a:/b:rr":       "ACCESS",
		"--device /dev/a:/b:r:w":      "ACCESS",
		"--device vendor.com/gpu=all": "absolute",
		"--device-cgroup-rule c":      "TYPE MAJOR:MINOR",
		"--sysctl net.a":              "NAME=VALUE",
		"--sysctl kernel.panic=1":     "whole host",
		"--sysctl =1":                 "name such as",
	} {
		_, err := describe(t, plainImage(), append(strings.Fields(line), "img")...)
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want words %q", line, err, words)
		}
	}
}

func FuzzDevice(f *testing.F) {
	for _, s := range []string{"/dev/a", "/dev/a:/b:rwm", "/dev/a:r", "::", "/a:/..:r", "/a:/b:rrr"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := describe(t, plainImage(), "--device="+s, "img")
		for _, d := range c.Settings.Devices.Nodes {
			if err == nil && (!path.IsAbs(d.Host) || path.Clean(d.Path) != d.Path || d.Path == "/" || d.Access == "") {
				t.Errorf("%q is %+v", s, d)
			}
		}
	})
}
