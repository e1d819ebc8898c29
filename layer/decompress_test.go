package layer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/lrun-dev/lrun/layer"
)

func gzipped(s string) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	io.WriteString(w, s)
	w.Close()
	return buf.Bytes()
}

func zstded(s string, o ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll([]byte(s), nil)
}

func skippable(s string) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x5a, 0x2a, 0x4d, 0x18}, uint32(len(s)))
	return append(b, s...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestDecompress(t *testing.T) {
	zeros := make([]byte, 10000)
	for _, tt := range []struct {
		name string
		in   []byte
		as   layer.Compression
		want string
	}{
		{"nothing", nil, layer.None, ""},
		{"plain", []byte("plain"), layer.None, "plain"},
		{"looks a bit like gzip", []byte("\x1f"), layer.None, "\x1f"},
		{"looks a bit like bzip2", []byte("BZhello"), layer.None, "BZhello"},
		{"gzip", gzipped("a"), layer.Gzip, "a"},
		{"gzip of nothing", gzipped(""), layer.Gzip, ""},
		{"gzip members", join(gzipped("a"), gzipped(""), gzipped("b"), gzipped("c")), layer.Gzip, "abc"},
		{"gzip padded with zeros", join(gzipped("a"), zeros), layer.Gzip, "a"},
		{"gzip members, padded with one zero", join(gzipped("a"), gzipped("b"), zeros[:1]), layer.Gzip, "ab"},
		{"zstd", zstded("a"), layer.Zstd, "a"},
		{"zstd of nothing", zstded("", zstd.WithZeroFrames(true)), layer.Zstd, ""},
		{"zstd frames", join(zstded("a"), zstded("b")), layer.Zstd, "ab"},
		{"zstd, skippable first", join(skippable("toc"), zstded("a")), layer.Zstd, "a"},
		{"zstd, skippable in between and last", join(zstded("a"), skippable(""), zstded("b"), skippable("toc")), layer.Zstd, "ab"},
		{"zstd, large", zstded(strings.Repeat("lrun", 1<<20)), layer.Zstd, strings.Repeat("lrun", 1<<20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range []io.Reader{bytes.NewReader(tt.in), iotest.OneByteReader(bytes.NewReader(tt.in)), iotest.DataErrReader(bytes.NewReader(tt.in))} {
				r, as, err := layer.Decompress(in)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || as != tt.as || string(got) != tt.want {
					t.Errorf("got %v, %.20q, %v", as, got, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestDecompressRefuses(t *testing.T) {
	g, z := gzipped("some bytes that are compressed"), zstded("some bytes that are compressed")
	lying := bytes.Clone(g)
	lying[len(lying)-4]++
	badSum := bytes.Clone(g)
	badSum[len(badSum)-8]++
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"gzip cut in the header", g[:5], errdefs.ErrDataLoss},
		{"gzip cut", g[:len(g)-12], errdefs.ErrDataLoss},
		{"gzip cut in the trailer", g[:len(g)-1], errdefs.ErrDataLoss},
		{"gzip with a lying size", lying, errdefs.ErrDataLoss},
		{"gzip with a wrong sum", badSum, errdefs.ErrDataLoss},
		{"gzip, then something else", join(g, []byte("something")), errdefs.ErrDataLoss},
		{"gzip, then zeros and something", join(g, make([]byte, 100), []byte("x")), errdefs.ErrDataLoss},
		{"gzip, then half a member", join(g, g[:12]), errdefs.ErrDataLoss},
		{"zstd cut", z[:len(z)-2], errdefs.ErrDataLoss},
		{"zstd, then something else", join(z, []byte("something")), errdefs.ErrDataLoss},
		{"zstd with a window of 1 GiB", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0}, errdefs.ErrDataLoss},
		{"xz", []byte("\xfd7zXZ\x00\x00\x04"), errdefs.ErrNotImplemented},
		{"bzip2", []byte("BZh91AY&SY\x00"), errdefs.ErrNotImplemented},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _, err := layer.Decompress(bytes.NewReader(tt.in))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				if closeErr := r.Close(); closeErr != nil {
					t.Errorf("Close tells what Read told: %v", closeErr)
				}
			}
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// An error of the disk or of the network is no damage of the stream.
func TestDecompressPassesErrorsOn(t *testing.T) {
	broken := errors.New("the cable is out")
	for name, head := range map[string][]byte{"plain": []byte("plain"), "gzip": gzipped("abc")[:15], "zstd": zstded("abc")[:6], "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			r, _, err := layer.Decompress(io.MultiReader(bytes.NewReader(head), iotest.ErrReader(broken)))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if !errors.Is(err, broken) || errors.Is(err, errdefs.ErrDataLoss) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestCompressionString(t *testing.T) {
	for c, want := range map[layer.Compression]string{layer.None: "none", layer.Gzip: "gzip", layer.Zstd: "zstd", 9: "compression 9"} {
		if c.String() != want {
			t.Errorf("got %q, want %q", c, want)
		}
	}
}

// FuzzDecompress: no input makes it panic or hang, and its errors have a class.
func FuzzDecompress(f *testing.F) {
	for _, b := range [][]byte{nil, []byte("plain"), gzipped("a"), zstded("a"), join(gzipped("a"), gzipped("b"), make([]byte, 5)), join(skippable("x"), zstded("a"))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, as, err := layer.Decompress(bytes.NewReader(in))
		if err == nil {
			var n int64
			n, err = io.Copy(io.Discard, io.LimitReader(r, 64<<20))
			if as == layer.None && err == nil && n != int64(len(in)) {
				t.Fatalf("plain, but %d bytes of %d", n, len(in))
			}
			r.Close()
		}
		if err != nil && !errors.Is(err, errdefs.ErrDataLoss) && !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Fatal(err)
		}
	})
}
