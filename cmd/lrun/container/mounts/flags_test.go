package mounts_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/mounts"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// parse reads a command line as run does; the other container is named "other".
func parse(t testing.TB, ofImage []string, line ...string) ([]spec.Mount, error) {
	t.Helper()
	var f mounts.Flags
	var list []spec.Mount
	volumes := map[string]struct{}{}
	for _, v := range ofImage {
		volumes[v] = struct{}{}
	}
	of := func(name string) ([]spec.Mount, error) {
		if name != "other" {
			return nil, errdefs.ErrNotFound
		}
		return []spec.Mount{
			{Type: "bind", Source: "/src", Target: "/from/bind"},
			{Type: "volume", Name: "data", Target: "/from/data", ReadOnly: true},
			{Type: "tmpfs", Target: "/from/tmp"},
		}, nil
	}
	app := &cli.App{Flags: f.Flags(), HideHelp: true, DisableSliceFlagSeparator: true, Action: func(*cli.Context) (err error) {
		if list, err = f.Parse(of); err == nil {
			list, err = mounts.WithImage(list, volumes)
		}
		return err
	}}
	return list, app.Run(append([]string{"lrun"}, line...))
}

// show writes what of a mount is not the default.
func show(m spec.Mount) string {
	words := []string{m.Type, m.Name + m.Source, m.Target}
	for _, w := range []string{m.Subpath, m.Recursive, m.Propagation, strings.Join(m.Options, ",")} {
		if w != "" {
			words = append(words, w)
		}
	}
	for name, on := range map[string]bool{"ro": m.ReadOnly, "nocopy": m.NoCopy, "made": m.New.MakeSource, "shared": m.Shared} {
		if on {
			words = append(words, name)
		}
	}
	slices.Sort(words[3:])
	return strings.Join(words, " ")
}

func TestParse(t *testing.T) {
	source := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for want, flag := range map[string][2]string{
		"volume  /data":                                 {"-v", "/data"},
		"bind /a /b made":                               {"-v", "/a:/b/"},
		"bind " + here + "/x /b made":                   {"-v", "./x:/b"},
		"bind /a /b made ro":                            {"-v", "/a:/b:ro,z"},
		"bind /a /b made readonly ro":                   {"-v", "/a:/b:rro"},
		"bind /a /b made rslave":                        {"-v", "/a:/b:rw,rslave,cached"},
		"volume data /b":                                {"-v", "data:/b"},
		"volume data /b nocopy ro":                      {"-v", "data:/b:nocopy,ro"},
		"tmpfs  /t mode=700,size=1m,noatime,mpol=local": {"--tmpfs", "/t:mode=700,size=1m,noatime,mpol=local"},
		"tmpfs  /t":                                     {"--tmpfs", "/t"},
		"bind " + source + " /b":                        {"--mount", "type=bind,src=" + source + ",dst=/b"},
		"bind " + source + " /c ro":                     {"--mount", "type=BIND,source=" + source + "/,target=/c,readonly,consistency=delegated"},
		"bind " + source + " /d rprivate":               {"--mount", "type=bind,src=" + source + ",destination=/d,ro=false,bind-propagation=rprivate"},
		"bind " + source + " /e disabled":               {"--mount", "type=bind,src=" + source + ",dst=/e,bind-nonrecursive"},
		"bind " + source + " /e disabled ro":            {"--mount", "type=bind,src=" + source + ",dst=/e,bind-recursive=disabled,ro=1"},
		"bind " + source + " /e ro writable":            {"--mount", "type=bind,src=" + source + ",dst=/e,bind-recursive=writable,ro"},
		"bind " + source + " /e readonly ro rprivate":   {"--mount", "type=bind,src=" + source + ",dst=/e,bind-recursive=readonly,ro,bind-propagation=rprivate"},
		"bind /none/such /b made":                       {"--mount", "type=bind,src=/none/such,dst=/b,bind-create-src"},
		"bind /none/a,b /b made":                        {"--mount", `type=bind,"src=/none/a,b",dst=/b,bind-create-src=true`},
		"tmpfs  /t mode=1770,size=65536":                {"--mount", "type=tmpfs,dst=/t,tmpfs-mode=1770,tmpfs-size=64k"},
		"tmpfs  /t ro ro":                               {"--mount", "type=tmpfs,dst=/t,ro"},
		"volume data /v nocopy":                         {"--mount", "src=data,dst=/v,volume-nocopy,volume-label=a=b,volume-driver=local"},
		"volume data /v ro sub/dir":                     {"--mount", "type=volume,src=data,dst=/v,ro,volume-subpath=sub/dir"},
		"volume  /v":                                    {"--mount", "type=volume,dst=/v"},
	} {
		t.Run(want, func(t *testing.T) {
			list, err := parse(t, nil, flag[:]...)
			if err != nil || len(list) != 1 || show(list[0]) != want {
				t.Errorf("%s\ngot  %+v, %v\nwant %s", flag, list, err, want)
			}
		})
	}
}

func TestParseTogether(t *testing.T) {
	list, err := parse(t, []string{"/data/", "/taken", "/from/data/sub"}, "-v", "/b:/z/deep", "-v", "/a:/z:ro", "--tmpfs", "/taken", "--volumes-from", "other:ro", "-v", "mine:/from/bind")
	var got []string
	for _, m := range list {
		got = append(got, show(m))
	}
	want := []string{
		"volume  /data", "volume mine /from/bind", "volume data /from/data ro shared", "volume  /from/data/sub", "tmpfs  /taken", "bind /a /z made ro", "bind /b /z/deep made",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got\n%s, %v\nwant\n%s", strings.Join(got, "\n"), err, strings.Join(want, "\n"))
	}
	if !list[0].Anonymous || list[1].Anonymous {
		t.Errorf("anonymous: %+v", list[:2])
	}
}

func TestParseRefuses(t *testing.T) {
	source := t.TempDir()
	bind := "type=bind,src=" + source + ",dst=/b,"
	invalid, unsupported := errdefs.ErrInvalidArgument, errdefs.ErrNotImplemented
	for name, c := range map[string]struct {
		flag, value string
		class       error
		words       string
	}{
		"the root":                {"-v", "/a:/", invalid, "on the container's root"},
		"relative target":         {"-v", "/a:b", invalid, "absolute"},
		"four parts":              {"-v", "/a:/b:ro:x", invalid, "SRC:DST"},
		"no source":               {"-v", ":/b", invalid, "SRC:DST"},
		"no target":               {"-v", "/a:", invalid, "SRC:DST"},
		"volume name":             {"-v", "a b:/b", invalid, "volume name"},
		"unknown mode":            {"-v", "/a:/b:zz", invalid, `"zz"`},
		"ro and rw":               {"-v", "/a:/b:ro,rw", invalid, "exclude"},
		"two propagations":        {"-v", "/a:/b:shared,slave", invalid, "exclude"},
		"nocopy of a directory":   {"-v", "/a:/b:nocopy", invalid, "volumes"},
		"propagation of a volume": {"-v", "data:/b:shared", invalid, "directories"},
		"no tmpfs option":         {"--tmpfs", "/b:colour=red", invalid, "colour"},
		"tmpfs without a value":   {"--tmpfs", "/b:size", invalid, "size=VALUE"},
		"tmpfs flag with a value": {"--tmpfs", "/b:ro=1", invalid, "no value"},
		"shared tmpfs":            {"--tmpfs", "/b:shared", unsupported, "private"},
		"copying tmpfs":           {"--tmpfs", "/b:tmpcopyup", unsupported, "tmpcopyup"},
		"not CSV":                 {"--mount", `type=bind,"src=/a`, invalid, "commas"},
		"no target of --mount":    {"--mount", "type=bind,src=" + source, invalid, "target"},
		"no source of a bind":     {"--mount", "type=bind,dst=/b", invalid, "source"},
		"missing source":          {"--mount", "type=bind,src=/none/such,dst=/b", os.ErrNotExist, "bind-create-src"},
		"relative source":         {"--mount", "type=bind,src=a,dst=/b", invalid, "./a"},
		"space around a key":      {"--mount", "type=bind, src=/a,dst=/b", invalid, "space"},
		"unknown key":             {"--mount", bind + "colour=red", invalid, "colour"},
		"key without a value":     {"--mount", bind + "consistency", invalid, "key=value"},
		"consistency":             {"--mount", bind + "consistency=mostly", invalid, "mostly"},
		"bad switch":              {"--mount", bind + "ro=yes", invalid, "true or false"},
		"bad propagation":         {"--mount", bind + "bind-propagation=up", invalid, "up"},
		"bad recursion":           {"--mount", bind + "bind-recursive=maybe", invalid, "maybe"},
		"writable, not read-only": {"--mount", bind + "bind-recursive=writable", invalid, "readonly"},
		"recursive, propagating":  {"--mount", bind + "bind-recursive=readonly,ro", invalid, "rprivate"},
		"volume option of a bind": {"--mount", bind + "volume-nocopy", invalid, "volume-nocopy is not for type=bind"},
		"unknown bind option":     {"--mount", bind + "bind-colour=red", invalid, "bind-colour"},
		"bind option of a tmpfs":  {"--mount", "type=tmpfs,dst=/b,bind-nonrecursive", invalid, "not for type=tmpfs"},
		"source of a tmpfs":       {"--mount", "type=tmpfs,dst=/b,src=/a", invalid, "no source"},
		"size of a tmpfs":         {"--mount", "type=tmpfs,dst=/b,tmpfs-size=big", invalid, "tmpfs-size"},
		"mode of a tmpfs":         {"--mount", "type=tmpfs,dst=/b,tmpfs-mode=999", invalid, "octal"},
		"driver":                  {"--mount", "src=data,dst=/b,volume-driver=nfs", unsupported, "local"},
		"label without a name":    {"--mount", "src=data,dst=/b,volume-label=", invalid, "volume-label=: give volume-label=NAME=VALUE: invalid"},
		"volume option":           {"--mount", "src=data,dst=/b,volume-opt=type=nfs", unsupported, "nfs"},
		"subpath that leaves":     {"--mount", "src=data,dst=/b,volume-subpath=../x", invalid, "'..'"},
		"subpath of nothing":      {"--mount", "dst=/b,volume-subpath=x", invalid, "source=NAME"},
		"read-only and fresh":     {"--mount", "dst=/b,ro", invalid, "fresh"},
		"image":                   {"--mount", "type=image,src=busybox,dst=/b", unsupported, "lrun export"},
		"cluster":                 {"--mount", "type=cluster,src=x,dst=/b", unsupported, "type=volume"},
		"npipe":                   {"--mount", `type=npipe,src=x,dst=/b`, unsupported, "Windows"},
		"unknown type":            {"--mount", "type=colour,dst=/b", invalid, "colour"},
		"no container":            {"--volumes-from", "nobody", errdefs.ErrNotFound, "nobody"},
		"mode of another's":       {"--volumes-from", "other:shared", invalid, "shared"},
		"nameless other":          {"--volumes-from", ":ro", invalid, "CONTAINER"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, nil, c.flag, c.value)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %v with %q", err, c.class, c.words)
			}
		})
	}
	if _, err := parse(t, nil, "-v", "/a:/b", "--mount", "type=tmpfs,dst=/b/"); !errors.Is(err, invalid) || !strings.Contains(fmt.Sprint(err), "twice") {
		t.Errorf("two on one target: %v", err)
	}
}

func check(t *testing.T, list []spec.Mount, err error) {
	t.Helper()
	if err != nil {
		return
	}
	for _, m := range list {
		if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" || strings.ContainsRune(m.Target+m.Source, 0) {
			t.Errorf("target of %+v", m)
		}
		if m.Type == "bind" && !filepath.IsAbs(m.Source) || m.Type == "tmpfs" && m.Source != "" || m.Type == "volume" && (m.Name == "") != m.Anonymous {
			t.Errorf("source of %+v", m)
		}
	}
}

func FuzzVolume(f *testing.F) {
	for _, s := range []string{"/a", "/a:/b", "a1:/b:ro,nocopy", "/a:/b:rshared,z", ":", "::", "/a:/b/../..", "./a:/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parse(t, nil, "--volume="+s)
		check(t, list, err)
	})
}

func FuzzMount(f *testing.F) {
	for _, s := range []string{"type=bind,src=/,dst=/a,ro", `"type=bind","src=/a,b",dst=/b,bind-create-src`, "type=tmpfs,dst=/t,tmpfs-size=1g,tmpfs-mode=0700", "src=data,dst=/v,volume-subpath=a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parse(t, nil, "--mount="+s)
		check(t, list, err)
	})
}

func FuzzTmpfs(f *testing.F) {
	for _, s := range []string{"/t", "/t:size=1m,mode=700", "/t:ro,", ":", "/t::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parse(t, nil, "--tmpfs="+s)
		check(t, list, err)
	})
}
