package apparmor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
)

const some = "lrun-default (enforce)\ndocker-default (enforce)\nmy profile (v2) (complain)\n/usr/bin/man (enforce)\n"

func host(t *testing.T, enabled, profiles string) Host {
	t.Helper()
	h := Host{Sys: t.TempDir(), Parser: filepath.Join(t.TempDir(), "no-parser")}
	for file, content := range map[string]string{"module/apparmor/parameters/enabled": enabled, "kernel/security/apparmor/profiles": profiles} {
		if content == "" {
			continue
		}
		path := filepath.Join(h.Sys, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		enabled, profiles string
		asked             string
		privileged        bool
		want              string
		err               error
	}{
		"none here":                    {"", "", "", false, "", nil},
		"off":                          {"N\n", some, "", false, "", nil},
		"unconfined where none is":     {"", "", "unconfined", false, "", nil},
		"asked for where none is":      {"", "", "lrun-default", false, "", errdefs.ErrNotImplemented},
		"default":                      {"Y\n", some, "", false, "lrun-default", nil},
		"default, privileged":          {"Y\n", some, "", true, "unconfined", nil},
		"Docker's alone":               {"Y\n", "docker-default (enforce)\n", "", false, "docker-default", nil},
		"neither is loaded":            {"Y\n", "docker-default2 (enforce)\nlrun-default2 (enforce)\n", "", false, "unconfined", nil},
		"default, profiles not to see": {"Y\n", "", "", false, "unconfined", nil},
		"unconfined":                   {"Y\n", some, "unconfined", false, "unconfined", nil},
		"asked for":                    {"Y\n", some, "/usr/bin/man", false, "/usr/bin/man", nil},
		"asked for, privileged":        {"Y\n", some, "docker-default", true, "docker-default", nil},
		"lrun's, privileged":           {"Y\n", some, "lrun-default", true, "lrun-default", nil},
		"lrun's, not to be loaded":     {"Y\n", "x (enforce)\n", "lrun-default", false, "lrun-default", errdefs.ErrNotFound},
		"a name with blanks":           {"Y\n", some, "my profile (v2)", false, "my profile (v2)", nil},
		"a part of a name":             {"Y\n", some, "docker", false, "docker", errdefs.ErrNotFound},
		"asked for, not to see":        {"Y\n", "", "x", false, "x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := host(t, c.enabled, c.profiles).Choose(c.asked, c.privileged)
			if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
}
