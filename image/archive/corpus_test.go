package archive

import (
	"errors"
	"testing"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/layer/layertest/corpus/archives"
)

// TestCorpus reads every image of the corpus, as a stream: it comes out whole, or nothing of it stays and the error is of
// the class that it should be.
func TestCorpus(t *testing.T) {
	for _, c := range archives.All(image.HostPlatform()) {
		t.Run(c.Name, func(t *testing.T) {
			in := newIngest(t)
			got, err := readTar(t, in, c.Archive, Options{})
			if !errors.Is(err, c.Refused) {
				t.Fatalf("got %v, want %v", err, c.Refused)
			}
			if c.Refused != nil {
				if len(got) > 0 {
					t.Errorf("an error and %+v", got)
				}
				return
			}
			if len(got) != 1 || len(got[0].Image.Layers) != c.Layers {
				t.Fatalf("got %+v, want one image of %d layers", got, c.Layers)
			}
			checkIngest(t, in, got)
		})
	}
}
