package overlay_test

import (
	"fmt"

	"github.com/lrun-dev/lrun/overlay"
)

func ExampleMount() {
	m, err := overlay.Mount([]string{"/layers/app", "/layers/base"}, "/c1/fs", "/c1/work", overlay.Options{})
	if err != nil {
		panic(err)
	}
	for _, o := range m.Options {
		fmt.Println(o.Key, o.Value, o.Dirs)
	}
	// m.At("/merged") mounts it.

	// Output:
	// lowerdir  [/layers/app /layers/base]
	// upperdir  [/c1/fs]
	// workdir  [/c1/work]
	// redirect_dir off []
	// metacopy off []
	// index off []
	// nfs_export off []
	// xino off []
}
