package apparmor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// parser makes a program that notes what it is given and ends with a code.
func parser(t *testing.T, code string) (path, noted string) {
	t.Helper()
	dir := t.TempDir()
	path, noted = filepath.Join(dir, "parser"), filepath.Join(dir, "noted")
	script := "#!/bin/sh\n{ echo \"$@\"; cat; } >>" + noted + "\necho why >&2\nexit " + code + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, noted
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		enabled, profiles, asked string
		privileged, loads        bool
		want                     string
	}{
		"by default":              {"Y\n", "docker-default (enforce)\n", "", false, true, "lrun-default"},
		"nothing is loaded":       {"Y\n", "none\n", "", false, true, "lrun-default"},
		"asked for":               {"Y\n", "docker-default (enforce)\n", "lrun-default", false, true, "lrun-default"},
		"asked for, privileged":   {"Y\n", "docker-default (enforce)\n", "lrun-default", true, true, "lrun-default"},
		"it is loaded":            {"Y\n", some, "", false, false, "lrun-default"},
		"asked for, it is loaded": {"Y\n", some, "lrun-default", false, false, "lrun-default"},
		"privileged":              {"Y\n", "none\n", "", true, false, "unconfined"},
		"another":                 {"Y\n", some, "docker-default", false, false, "docker-default"},
		"off":                     {"N\n", "none\n", "", false, false, ""},
		"profiles not to see":     {"Y\n", "", "", false, false, "unconfined"},
	} {
		t.Run(name, func(t *testing.T) {
			h := host(t, c.enabled, c.profiles)
			var file string
			h.Parser, file = parser(t, "0")
			got, err := h.Choose(c.asked, c.privileged)
			if got != c.want || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			noted, err := os.ReadFile(file)
			if !c.loads && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("loaded: %q, %v", noted, err)
			}
			if c.loads && (err != nil || !strings.HasPrefix(string(noted), "--replace ") || !strings.Contains(string(noted), "profile lrun-default flags=(")) {
				t.Errorf("loaded %q, %v", noted, err)
			}
		})
	}
}

func TestLoadFails(t *testing.T) {
	h := host(t, "Y\n", some[strings.Index(some, "docker"):])
	h.Parser, _ = parser(t, "3")
	if _, err := h.Choose("", false); err == nil || !strings.Contains(err.Error(), "exit status 3: why") || !strings.Contains(err.Error(), "apparmor=unconfined") {
		t.Errorf("got %v", err)
	}
	h.Parser += ".gone"
	if err := h.load(); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(h.Parser, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.load(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

func TestStandard(t *testing.T) {
	for name, c := range map[string]struct {
		profiles string
		parser   bool
		want     string
		loaded   bool
	}{
		"lrun's":           {some, false, "lrun-default", true},
		"to be loaded":     {"docker-default (enforce)\n", true, "lrun-default", false},
		"Docker's":         {"docker-default (enforce)\n", false, "docker-default", true},
		"neither":          {"x (enforce)\n", false, "unconfined", true},
		"cannot be looked": {"", true, "unconfined", true},
	} {
		t.Run(name, func(t *testing.T) {
			h := host(t, "Y\n", c.profiles)
			if c.parser {
				h.Parser, _ = parser(t, "0")
			}
			got, loaded, err := h.Standard()
			if got != c.want || loaded != c.loaded || err != nil {
				t.Errorf("got %q, %v, %v", got, loaded, err)
			}
		})
	}
	h := host(t, "Y\n", some)
	if err := errors.Join(os.Remove(h.profiles()), os.Mkdir(h.profiles(), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Standard(); err == nil {
		t.Error("profiles that cannot be read are no error")
	}
}
