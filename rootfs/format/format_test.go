package format_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/rootfs/format"
)

func TestInit(t *testing.T) {
	write := func(name, content string) func(root string) error {
		return func(root string) error {
			return os.WriteFile(filepath.Join(root, name), []byte(content), 0o600)
		}
	}
	for name, c := range map[string]struct {
		before func(root string) error // in an empty directory; nil: there is none
		is     func(error) bool        // nil: no error
		says   string
	}{
		"nothing there":             {before: nil},
		"an empty directory":        {before: func(string) error { return nil }},
		"a directory that is open":  {before: func(root string) error { return os.Chmod(root, 0o755) }},
		"a new file system":         {before: func(root string) error { return os.Mkdir(filepath.Join(root, "lost+found"), 0o700) }},
		"a first start cut short":   {before: write(".tmp-123", "{")},
		"a root":                    {before: write("format.json", `{"format":"lrun","version":1}`)},
		"a root with more in it":    {before: write("format.json", `{"format":"lrun","version":1,"since":"later"}`)},
		"a newer root":              {write("format.json", `{"format":"lrun","version":2}`), errdefs.IsNotImplemented, "its format has version 2, this lrun knows up to 1: use a newer lrun"},
		"another program's":         {write("format.json", `{"format":"tar","version":1}`), errdefs.IsInvalidArgument, `"tar"`},
		"no version":                {write("format.json", `{"format":"lrun"}`), errdefs.IsInvalidArgument, "version 0"},
		"half a format":             {write("format.json", `{"format":"lr`), errdefs.IsDataLoss, "format.json"},
		"somebody's home directory": {write(".profile", "export PATH"), errdefs.IsInvalidArgument, `".profile"`},
		"Docker's root":             {func(root string) error { return os.Mkdir(filepath.Join(root, "overlay2"), 0o710) }, errdefs.IsInvalidArgument, "choose another --root"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "a/root")
			if c.before != nil {
				if err := os.MkdirAll(root, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := c.before(root); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // it does not change its mind
				err := format.Init(root, atomicfile.Durable)
				if c.is == nil {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				if !c.is(err) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), root) {
					t.Errorf("got %v, want one of another class or that says %q", err, c.says)
				}
			}
			if c.is != nil {
				return
			}
			info, err := os.Stat(root)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			b, err := os.ReadFile(filepath.Join(root, "format.json"))
			if err != nil || !strings.HasPrefix(string(b), `{"format":"lrun","version":1`) {
				t.Errorf("format.json is %q, %v", b, err)
			}
		})
	}
}

func TestInitThatIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := format.Init(path, atomicfile.Durable); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// TestInitByManyAtOnce has first commands meet, which go on at once to make what is in a root.
func TestInitByManyAtOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	var g sync.WaitGroup
	for range 20 {
		g.Go(func() {
			if err := format.Init(root, atomicfile.Durable); err != nil {
				t.Error(err)
			}
			if err := os.MkdirAll(filepath.Join(root, "images"), 0o700); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
}
