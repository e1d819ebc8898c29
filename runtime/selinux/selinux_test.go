package selinux

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

const contexts = `# what containers have
process = "system_u:system_r:container_t:s0"
content = "system_u:object_r:virt_var_lib_t:s0"
file = "system_u:object_r:container_file_t:s0"
ro_file="system_u:object_r:container_ro_file_t:s0"
`

// host is a machine with files, of which names that begin with sys are below /sys.
func host(t *testing.T, files map[string]string) Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Sys: filepath.Join(root, "sys"), Root: root}
}

func on(t *testing.T, lxc string) Host {
	t.Helper()
	return host(t, map[string]string{
		"sys/fs/selinux/enforce": "1", "sys/fs/selinux/context": "", "etc/selinux/config": "# SELINUXTYPE=other\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
		"etc/selinux/targeted/contexts/lxc_contexts": lxc,
	})
}

func TestChoose(t *testing.T) {
	for options, want := range map[string][2]string{
		"":                         {`system_u:system_r:container_t:s0:c\d+,c\d+`, `system_u:object_r:container_file_t:s0:c\d+,c\d+`},
		"type:spc_t":               {`system_u:system_r:spc_t:s0:c\d+,c\d+`, `system_u:object_r:container_file_t:s0:c\d+,c\d+`},
		"level:s0:c100,c200":       {`system_u:system_r:container_t:s0:c100,c200`, `system_u:object_r:container_file_t:s0:c100,c200`},
		"level:s0":                 {`system_u:system_r:container_t:s0`, `system_u:object_r:container_file_t:s0`},
		"user:u role:r level:s1":   {`u:r:container_t:s1`, `u:object_r:container_file_t:s1`},
		"filetype:usr_t":           {`system_u:system_r:container_t:s0:c\d+,c\d+`, `system_u:object_r:usr_t:s0:c\d+,c\d+`},
		"type:a_t type:b_t":        {`system_u:system_r:b_t:s0:c\d+,c\d+`, `system_u:object_r:container_file_t:s0:c\d+,c\d+`},
		"level:s0-s0:c0.c5 type:x": {`system_u:system_r:x:s0-s0:c0\.c5`, `system_u:object_r:container_file_t:s0-s0:c0\.c5`},
	} {
		t.Run(options, func(t *testing.T) {
			got, err := on(t, contexts).Choose(strings.Fields(options))
			if err != nil || !regexp.MustCompile("^"+want[0]+"$").MatchString(got.Process) || !regexp.MustCompile("^"+want[1]+"$").MatchString(got.Mount) {
				t.Errorf("got %+v, %v", got, err)
			}
			if _, a, _ := strings.Cut(got.Process, ":s0:"); !strings.HasSuffix(got.Mount, a) {
				t.Errorf("the levels differ: %+v", got)
			}
		})
	}
}

func TestChooseRefuses(t *testing.T) {
	off := host(t, nil)
	silent := host(t, map[string]string{"sys/fs/selinux/enforce": "0"})
	for name, c := range map[string]struct {
		host   Host
		option string
		class  error
		text   string
	}{
		"off":              {off, "type:x", errdefs.ErrNotImplemented, "SELinux is not on"},
		"no policy for it": {silent, "type:x", errdefs.ErrNotImplemented, "container-selinux"},
		"another policy":   {host(t, map[string]string{"sys/fs/selinux/enforce": "0", "etc/selinux/config": "SELINUXTYPE=mls\n"}), "type:x", errdefs.ErrNotImplemented, "etc/selinux/mls/contexts"},
		"nothing in it":    {on(t, "process = \"a:b\"\nfile = \"a:b:c\"\n"), "type:x", errdefs.ErrDataLoss, "lxc_contexts"},
		"no kind":          {on(t, contexts), "colour:x", errdefs.ErrInvalidArgument, "filetype:"},
		"no value":         {on(t, contexts), "type:", errdefs.ErrInvalidArgument, "type:"},
		"no colon":         {on(t, contexts), "type", errdefs.ErrInvalidArgument, "type"},
		"blanks":           {on(t, contexts), "type:a b", errdefs.ErrInvalidArgument, "a b"},
		"a quote":          {on(t, contexts), `type:a"b`, errdefs.ErrInvalidArgument, `a"b`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.host.Choose([]string{c.option}); !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWithoutLevels(t *testing.T) {
	got, err := on(t, "process = \"u:r:t\"\nfile = \"u:object_r:f\"\n").Choose(nil)
	if err != nil || got != (Labels{"u:r:t", "u:object_r:f"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFirstFileCounts(t *testing.T) {
	h := on(t, contexts)
	first := h.files()[0]
	if err := errors.Join(os.MkdirAll(filepath.Dir(first), 0o755), os.WriteFile(first, []byte("process=\"u:r:first:s0\"\nfile=\"u:object_r:f:s0\"\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Choose([]string{"level:s0"}); err != nil || got.Process != "u:r:first:s0" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCategories(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		got := withCategories("s0")
		if !regexp.MustCompile(`^s0:c(\d+),c(\d+)$`).MatchString(got) {
			t.Fatalf("got %q", got)
		}
		a, b, _ := strings.Cut(strings.TrimPrefix(got, "s0:"), ",")
		if a == b {
			t.Errorf("twice the same: %q", got)
		}
		seen[got] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different ones", len(seen))
	}
}

func FuzzContexts(f *testing.F) {
	f.Add(contexts)
	f.Add("process=\nfile=\"\"\"\n=x")
	f.Fuzz(func(t *testing.T, text string) {
		values := settings(text)
		if c, ok := parse(values["process"]); ok && (c[user] == "" || c[role] == "" || c[kind] == "") {
			t.Errorf("%q became %q", values["process"], c)
		}
	})
}
