package archives

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// newLayout is what a layout of no image holds besides its index.
func newLayout() map[string]string {
	return map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
}

// archive makes a tar of files, by name.
func archive(files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name]))})
		if err == nil {
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
