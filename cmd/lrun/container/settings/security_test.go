package settings

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/selinux"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestSecurityOptions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n")
	notify := write("notify", `{"defaultAction":"SCMP_ACT_NOTIFY"}`)
	for option, c := range map[string]struct {
		privileged bool
		want       spec.Security
		err        string
	}{
		"no-new-privileges":       {want: spec.Security{NoNewPrivileges: true}},
		"no-new-privileges:true":  {want: spec.Security{NoNewPrivileges: true}},
		"no-new-privileges=true":  {want: spec.Security{NoNewPrivileges: true}},
		"no-new-privileges:false": {},
		"seccomp=unconfined":      {want: spec.Security{Seccomp: "unconfined"}},
		"seccomp:unconfined":      {want: spec.Security{Seccomp: "unconfined"}},
		"seccomp=builtin":         {},
		"seccomp=" + good:         {want: spec.Security{Seccomp: `{"defaultAction":"SCMP_ACT_ALLOW"}`}},
		"apparmor=unconfined":     {want: spec.Security{AppArmor: "unconfined"}},
		"label=disable":           {want: spec.Security{Labels: []string{"disable"}}},
		"systempaths=unconfined":  {want: spec.Security{SystemPaths: true}},
		"writable-cgroups=true":   {want: spec.Security{WritableCgroups: true}},
		"writable-cgroups=false":  {},

		"no-new-privileges:maybe":          {err: "true or false"},
		"no-new-privileges=":               {err: "true or false"},
		"seccomp=":                         {err: "unconfined or builtin"},
		"seccomp=" + dir:                   {err: "is a directory"},
		"seccomp=" + dir + "/no":           {err: "no such file"},
		"seccomp=" + notify:                {err: "SCMP_ACT_NOTIFY"},
		"apparmor=":                        {err: "name of a profile"},
		"label=type:x":                     {err: "SELinux"},
		"label=disable:x":                  {err: "label=disable"},
		"label=type:":                      {err: "filetype:"},
		"label=nested:true":                {err: "change labels"},
		"label":                            {err: "label=disable"},
		"systempaths=masked":               {err: "systempaths=unconfined"},
		"writable-cgroups":                 {err: "true or false"},
		"writable-cgroups=false,x":         {err: "true or false"},
		"credentialspec=file://x":          {err: "no such option"},
		"":                                 {err: "no such option"},
		"no-new-privileges,seccomp=x":      {err: "no such option"},
		"writable-cgroups=0":               {privileged: true, err: "--privileged"},
		"apparmor=a\nb":                    {err: "name of a profile"},
		"seccomp=/dev/zero":                {err: "more than"},
		"seccomp=" + os.DevNull:            {err: "EOF"},
		"systempaths":                      {err: "systempaths=unconfined"},
		"no-new-privileges:true:and:false": {err: "true or false"},
	} {
		t.Run(option, func(t *testing.T) {
			f := securityFlags{options: *cli.NewStringSlice(option)}
			s := spec.Settings{Privileged: c.privileged}
			err := f.security(&s)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "--security-opt") {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(s.Security, c.want) {
				t.Errorf("got %+v, %v; want %+v", s.Security, err, c.want)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	root := t.TempDir()
	host := selinux.Host{Sys: root, Root: root}
	for name, content := range map[string]string{
		"fs/selinux/enforce": "1", "fs/selinux/context": "", "usr/share/containers/selinux/contexts": "process=\"u:r:t:s0\"\nfile=\"u:o:f:s0\"\n",
	} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		labels         []string
		process, mount string
	}{
		{nil, "", ""},
		{[]string{"disable"}, "", ""},
		{[]string{"type:x", "disable"}, "", ""},
		{[]string{"type:x", "level:s0:c1"}, "u:r:x:s0:c1", "u:o:f:s0:c1"},
	} {
		s := spec.Security{Labels: slices.Clone(c.labels)}
		if err := label(&s, host); err != nil || s.ProcessLabel != c.process || s.MountLabel != c.mount || !slices.Equal(s.Labels, c.labels) {
			t.Errorf("%q: %+v, %v", c.labels, s, err)
		}
	}
	if err := label(&spec.Security{Labels: []string{"type:x"}}, selinux.Host{Sys: "/no", Root: root}); err == nil || !strings.Contains(err.Error(), "label=type:x") {
		t.Errorf("got %v", err)
	}
}

func TestProfileOfAppArmorNeedsAppArmor(t *testing.T) {
	_, err := appArmorProfile("no-such-profile", false)
	want := "no AppArmor"
	if apparmor.This().Enabled() {
		want = "not loaded"
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func FuzzSecurityOption(f *testing.F) {
	for _, option := range []string{"no-new-privileges:true", "label=disable", "writable-cgroups=1", "apparmor=unconfined", "=", ":"} {
		f.Add(option)
	}
	f.Fuzz(func(t *testing.T, option string) {
		if strings.HasPrefix(option, "seccomp") { // it names files
			return
		}
		s := spec.Settings{}
		err := (&securityFlags{options: *cli.NewStringSlice(option)}).security(&s)
		if err == nil && reflect.DeepEqual(s.Security, spec.Security{}) && !strings.HasPrefix(option, "no-new-privileges") && !strings.HasPrefix(option, "writable-cgroups") {
			t.Errorf("%q is taken and has no effect", option)
		}
	})
}
