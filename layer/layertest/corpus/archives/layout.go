package archives

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// newLayout is what a layout of no image holds besides its index.
func newLayout() map[string]string {
	return map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
}

// link begins the content of a file that is a symbolic link.
const link = "\x00-> "

// archive makes a tar of files, by name.
func archive(files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name]))}
		target, linked := strings.CutPrefix(files[name], link)
		if linked {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
		}
		err := w.WriteHeader(h)
		if err == nil && !linked {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// put adds a blob to files and describes it.
func put(files map[string]string, mediaType, content string) ocispec.Descriptor {
	d := digest.FromString(content)
	files["blobs/sha256/"+d.Encoded()] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
