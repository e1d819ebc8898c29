package quota

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// TestCheck looks beside the trees of snapshots that lack something. It needs no root: the disk only begins like one.
func TestCheck(t *testing.T) {
	const size = 1 << 20
	disk := make([]byte, size)
	disk[1024+0x38], disk[1024+0x39] = 0x53, 0xef
	image, project := &Limit{Size: size, Way: Image}, &Limit{Size: size, Way: Project}
	write := func(name string, content []byte) func(base string) error {
		return func(base string) error { return os.WriteFile(filepath.Join(base, name), content, 0o600) }
	}
	for name, tt := range map[string]struct {
		limit *Limit
		make  func(base string) error
		want  string
	}{
		"a disk":           {image, write("disk", disk), ""},
		"no disk":          {image, write("other", disk), `disk", is missing`},
		"a short disk":     {image, write("disk", disk[:size-1]), "has 1048575 bytes, not 1048576"},
		"an empty disk":    {image, write("disk", nil), "has 0 bytes"},
		"another disk":     {image, write("disk", make([]byte, size)), "holds no ext4 file system"},
		"a directory":      {image, func(base string) error { return os.Mkdir(base+"/disk", 0o700) }, "is no file"},
		"a link to a disk": {image, func(base string) error { return os.Symlink("/dev/zero", base+"/disk") }, "is no file"},
		"a project":        {project, write("project", []byte("1048576")), ""},
		"no project":       {project, write("disk", disk), `the number of its project, `},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			if err := tt.make(base); err != nil {
				t.Fatal(err)
			}
			err := tt.limit.Check(filepath.Join(base, "fs"))
			if tt.want == "" && err != nil || tt.want != "" && (!errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestCheckOfSound looks at a disk before, while and after it is mounted.
func TestCheckOfSound(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, volatile := range []bool{false, true} {
		l := &Limit{Size: MinSize, Way: Image}
		path := filepath.Join(newImage(t, l.Size, volatile), "fs")
		look := func() {
			if err := l.Check(path); err != nil {
				t.Error(err)
			}
		}
		look()
		if err := In(path, func(string) error { look(); return nil }); err != nil {
			t.Error(err)
		}
		look()
	}
}
