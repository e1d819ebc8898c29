package rootfs_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/lrun-dev/lrun/layer/split"
)

// Split data that takes the place of other is all that may be left of a blob: there is never none, and a killed process leaves nothing that lasts.
func TestDropAgain(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		layers := heavy()[:1]
		im := w.mustAdd(t, spec{layers: layers, refs: []string{"app"}})
		w.gone(t, im)
		path := filepath.Join(w.data(t, im, 0), split.FileName)
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".tmp-"+split.FileName), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		missing, done, stopped := atomic.Int64{}, make(chan bool), make(chan bool)
		go func() {
			defer close(stopped)
			for {
				select {
				case <-done:
					return
				default:
					if _, err := os.Lstat(path); err != nil {
						missing.Add(1)
					}
				}
			}
		}()
		for range 10 {
			w.mustAdd(t, spec{layers: layers, refs: []string{"app"}})
			w.gone(t, im)
		}
		close(done)
		<-stopped
		if n := missing.Load(); n != 0 {
			t.Errorf("there was no split data %d times", n)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".tmp-*")); len(left) != 0 || err != nil {
			t.Errorf("left %q, %v", left, err)
		}
		w.exact(t, im, layers)
	})
}
