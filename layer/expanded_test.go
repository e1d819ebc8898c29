package layer

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestExpanded(t *testing.T) {
	plain := bytes.Repeat([]byte("layer "), 10_000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	framed := e.EncodeAll(plain, nil)
	var stream bytes.Buffer // whose length nobody knows when its head is written
	s, err := zstd.NewWriter(&stream)
	if err != nil {
		t.Fatal(err)
	}
	for part := range 2 {
		if _, err := io.Copy(s, bytes.NewReader(plain[part*30_000:][:30_000])); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		blob []byte
		want int64
	}{
		"plain":            {plain, 60_000},
		"gzip":             {zipped.Bytes(), 60_000},
		"zstd":             {framed, 60_000},
		"zstd of a stream": {stream.Bytes(), int64(stream.Len())},
		"gzip, cut off":    {zipped.Bytes()[:3], 3},
		"gzip with zeros":  {append(bytes.Clone(zipped.Bytes()), make([]byte, 8)...), int64(zipped.Len()) + 8},
		"zstd, cut off":    {framed[:4], 4},
		"nothing":          {nil, 0},
	} {
		got := Expanded(bytes.NewReader(c.blob), int64(len(c.blob)))
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := Expanded(bytes.NewReader(nil), 100); got != 100 {
		t.Errorf("a blob that is shorter than it should be: %d", got)
	}
}
