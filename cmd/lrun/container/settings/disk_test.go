package settings

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
)

func TestDisk(t *testing.T) {
	const kept, unknown = 64 << 20, -1
	for name, tt := range map[string]struct {
		disk, rootfs string
		options      []string
		want         int64
		err          string
	}{
		"none":                   {"", "", nil, 0, ""},
		"disk":                   {"64m", "", nil, kept, ""},
		"Docker's":               {"", "", []string{"size=64M"}, kept, ""},
		"upper case and a space": {"", "", []string{"SIZE= 64mb"}, kept, ""},
		"both, the same":         {"64m", "", []string{"size=64m"}, kept, ""},
		"a plain number":         {"67108864", "", nil, kept, ""},
		"gigabytes":              {"2g", "", nil, 2 << 30, ""},
		"the least":              {"16m", "", nil, 16 << 20, ""},
		"too little":             {"15m", "", nil, 0, `--disk "15m": the least is 16m`},
		"zero":                   {"0", "", nil, 0, `--disk "0": the least is 16m`},
		"negative":               {"-1", "", nil, 0, `--disk "-1": give a number`},
		"nonsense":               {"", "", []string{"size=large"}, 0, `--storage-opt size "large": give a number`},
		"no value":               {"", "", []string{"size="}, 0, `give size=BYTES`},
		"no value at all":        {"", "", []string{"size"}, 0, `give size=BYTES`},
		"twice":                  {"64m", "", []string{"size=65m"}, 0, "given twice, as 64m and as 65m"},
		"another option":         {"", "", []string{"dm.basesize=10g"}, unknown, `--storage-opt "dm.basesize=10g" is not supported: there is size=BYTES alone`},
		"a directory":            {"64m", "/dir", nil, kept, ""},
		"a directory itself":     {"64m", "/dir:rw", nil, 0, "--disk with --rootfs /dir:rw: what the container writes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := diskFlags{disk: tt.disk, options: *cli.NewStringSlice(tt.options...)}
			got, err := f.size(tt.rootfs)
			var class error = errdefs.ErrInvalidArgument
			if tt.want == unknown {
				tt.want, class = 0, errdefs.ErrNotImplemented
			}
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && (!errors.Is(err, class) || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
}
