package manifest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/layer/manifest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unixTime(sec int64) time.Time { return time.Unix(sec, 0) }

func readers(t testing.TB, layers [][]manifest.Entry) (list []*manifest.Reader) {
	t.Helper()
	for _, entries := range layers {
		r, err := manifest.NewReader(bytes.NewReader(encode(t, manifest.Changes, entries...)))
		must(t, err)
		list = append(list, r)
	}
	return list
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		layers [][]manifest.Entry
		want   string
	}{
		{"one", [][]manifest.Entry{{root(), dir("d"), file("d/f", 1)}}, "/0 d0 d/f0"},
		{"none", nil, ""},
		{"change", [][]manifest.Entry{{root(), dir("d"), file("d/f", 1), file("d/g", 1)}, {root(), dir("d"), file("d/g", 2)}}, "/1 d1 d/f0 d/g1"},
		{"removal", [][]manifest.Entry{{root(), dir("d"), file("d/f", 1), file("e", 1)}, {root(), gone("d")}}, "/1 e0"},
		{"removal and back", [][]manifest.Entry{{root(), dir("d"), file("d/f", 1)}, {root(), gone("d")}, {root(), dir("d"), file("d/g", 1)}}, "/2 d2 d/g2"},
		{"file over a directory", [][]manifest.Entry{{root(), dir("d"), file("d/f", 1), file("d-", 1)}, {root(), file("d", 1)}}, "/1 d1 d-0"},
		{"directory over a file over a directory", [][]manifest.Entry{{root(), dir("d"), file("d/f", 1)}, {root(), file("d", 1)}, {root(), dir("d")}}, "/2 d2"},
		{"opaque", [][]manifest.Entry{{root(), dir("d"), dir("d/e"), file("d/e/f", 1)}, {root(), opaque("d"), file("d/g", 1)}}, "/1 d1 d/g1"},
		{"opaque in between", [][]manifest.Entry{{root(), dir("d"), file("d/e", 1)}, {root(), opaque("d")}, {root(), dir("d"), file("d/g", 1)}}, "/2 d2 d/g2"},
		{"hidden below hidden", [][]manifest.Entry{
			{root(), dir("d"), dir("d/e"), file("d/e/0", 1)},
			{root(), dir("d"), file("d/e", 1)},
			{root(), dir("d"), dir("d/e"), file("d/e/2", 1)},
			{root(), opaque("d")},
			{root(), dir("d"), dir("d/e"), file("d/e/4", 1)},
		}, "/4 d4 d/e4 d/e/44"},
		{"opaque root", [][]manifest.Entry{{root(), file("f", 1)}, {opaque(""), file("g", 1)}}, "/1 g1"},
		{"whiteout at the bottom", [][]manifest.Entry{{root(), gone("f")}, {root(), gone("g")}}, "/1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for e, err := range manifest.Merge(readers(t, tt.layers)) {
				must(t, err)
				if e.Path == "" {
					e.Path = "/"
				}
				got = append(got, fmt.Sprint(e.Path, e.Layer))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

// TestMergeOfDamaged: damage of any layer is told, wherever it is, and whose it is.
func TestMergeOfDamaged(t *testing.T) {
	good := encode(t, manifest.Changes, root(), file("a", 1), file("z", 1))
	for cut := 17; cut < len(good); cut++ {
		list := readers(t, [][]manifest.Entry{{root(), file("m", 1)}})
		r, err := manifest.NewReader(bytes.NewReader(good[:cut]))
		must(t, err)
		var last error
		for e, err := range manifest.Merge(append(list, r)) {
			if last = err; err != nil && e.Layer != 1 {
				t.Errorf("the damaged layer is said to be %d", e.Layer)
			}
		}
		if !errdefs.IsDataLoss(last) {
			t.Errorf("cut after %d bytes: %v", cut, last)
		}
	}
	for range manifest.Merge(readers(t, [][]manifest.Entry{{root(), file("a", 1)}})) {
		break // whoever has enough may stop
	}
}
