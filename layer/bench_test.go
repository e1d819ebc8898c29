package layer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// bigLayer is a tree like that of a language runtime: about 9,000 files, mostly small, in 900 directories.
func bigLayer() []byte {
	var entries []lt.Entry
	entries = append(entries, lt.Dir("usr"), lt.Dir("usr/lib"))
	for i := range 900 {
		dir := fmt.Sprintf("usr/lib/pkg%02d", i/30)
		if i%30 == 0 {
			entries = append(entries, lt.Dir(dir))
		}
		dir += fmt.Sprintf("/mod%02d", i%30)
		entries = append(entries, lt.Dir(dir))
		for j := range 10 {
			content := bytes.Repeat([]byte{byte(i), byte(j), 'x', '\n'}, 25+(i*37+j*991)%3500)
			entries = append(entries, lt.File(fmt.Sprintf("%s/file%d.py", dir, j), string(content)))
		}
	}
	return lt.Tar(entries...)
}

// BenchmarkApply compares with tar on the same filesystem ($TMPDIR).
func BenchmarkApply(b *testing.B) {
	testutil.RequireRoot(b)
	tar := bigLayer()
	for _, way := range []struct {
		name string
		do   func(dir string) error
	}{
		{"Apply", func(dir string) error {
			d, err := os.Open(dir)
			if err != nil {
				return err
			}
			defer d.Close()
			_, err = layer.Apply(context.Background(), d, bytes.NewReader(tar), onOverlay)
			return err
		}},
		{"tar", func(dir string) error {
			c := exec.Command("tar", "-x", "-C", dir)
			c.Stdin = bytes.NewReader(tar)
			return c.Run()
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(int64(len(tar)))
			for b.Loop() {
				b.StopTimer()
				dir, err := os.MkdirTemp("", "bench")
				must(b, err)
				b.StartTimer()
				must(b, way.do(dir))
				b.StopTimer()
				must(b, os.RemoveAll(dir))
				b.StartTimer()
			}
		})
	}
}
