package corpus

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

func zip(data []byte) []byte {
	return write(data, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zst(data []byte, o ...zstd.EOption) []byte {
	return write(data, func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, append(o, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			panic(err)
		}
		return z
	})
}

func write(data []byte, to func(io.Writer) io.WriteCloser) []byte {
	var b bytes.Buffer
	w := to(&b)
	if _, err := w.Write(data); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Plain is what is left of a blob when it is decompressed: all that can be read, if it is damaged.
func Plain(blob []byte) []byte {
	var r io.Reader = bytes.NewReader(blob)
	var err error
	switch {
	case bytes.HasPrefix(blob, []byte("\x1f\x8b")):
		r, err = gzip.NewReader(r)
	case bytes.HasPrefix(blob, []byte("\x28\xb5\x2f\xfd")), bytes.HasPrefix(blob, []byte("\x5a\x2a\x4d\x18")):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
		}
		r = z
	}
	if err != nil {
		return nil
	}
	// The error is that of the damage.
	plain, _ := io.ReadAll(r)
	return plain
}

// skippable is a frame of zstd that holds no data of the stream.
func skippable(data string) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{0x5a, 0x2a, 0x4d, 0x18}, uint32(len(data))), data...)
}

// small is what the compressed cases hold.
func small() ([]byte, []string) {
	body := strings.Repeat("compressible ", 1000)
	return lt.Tar(lt.File("f", body)), lines{"f = " + text(body)}
}

func compressed() []Case {
	plain, tree := small()
	ok := func(name string, blob []byte) Case { return accept("compressed: "+name, tree, blob) }
	half := len(plain) / 2
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment, w.Extra = "../../etc/passwd", "comment", []byte("extra")
	if _, err := w.Write(plain); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return []Case{
		ok("not", plain), ok("gzip", zip(plain)), ok("zstd", zst(plain)),
		ok("gzip with a name and more", named.Bytes()),
		ok("gzip of two members", concat(zip(plain[:half]), zip(plain[half:]))),
		ok("gzip with an empty member", concat(zip(plain[:half]), zip(nil), zip(plain[half:]))),
		ok("gzip and zeros", concat(zip(plain), make([]byte, 1000))),
		ok("gzip, the tar after the end too", concat(zip(plain), zip(plain))),
		ok("zstd of two frames", concat(zst(plain[:half]), zst(plain[half:]))),
		ok("zstd with frames to skip", concat(skippable("first"), zst(plain[:half]), skippable(""), zst(plain[half:]), skippable("last"))),
		ok("zstd with a large window", zst(plain, zstd.WithWindowSize(64<<20))),
		accept("compressed: each layer in its own way", onBase("a = a", "b = b", "-file"), base(), zip(lt.Tar(lt.File("a", "a"))), zst(lt.Tar(lt.File("b", "b"), lt.Whiteout("file")))),
	}
}

func damagedCompression() []Case {
	plain, _ := small()
	gz, zs := zip(plain), zst(plain)
	bad := func(name string, blob []byte) Case { return refuse("compressed: "+name, errdefs.ErrDataLoss, blob) }
	at := func(blob []byte, offset int) []byte {
		blob = bytes.Clone(blob)
		blob[(offset+len(blob))%len(blob)] ^= 1
		return blob
	}
	zlibbed := write(plain, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	return []Case{
		bad("gzip cut in its header", gz[:7]), bad("gzip cut in its middle", gz[:len(gz)/2]), bad("gzip cut in its trailer", gz[:len(gz)-3]),
		bad("gzip with a wrong checksum", at(gz, -7)), bad("gzip that lies about its size", at(gz, -2)), bad("gzip with a bit changed", at(gz, len(gz)/2)),
		bad("gzip and garbage", concat(gz, []byte("garbage"))), bad("gzip, zeros and garbage", concat(gz, make([]byte, 10), []byte("garbage"))),
		bad("gzip and half a member", concat(gz, gz[:20])), bad("gzip and zstd", concat(gz, zs)), bad("gzip and the plain tar", concat(gz, plain)),
		bad("gzip twice", zip(gz)), bad("gzip of another method", append([]byte("\x1f\x8b\x09"), gz[3:]...)),
		bad("zstd cut in its header", zs[:5]), bad("zstd cut in its middle", zs[:len(zs)/2]), bad("zstd without its checksum", zs[:len(zs)-4]),
		bad("zstd with a wrong checksum", at(zs, -1)), bad("zstd and garbage", concat(zs, []byte("garbage"))), bad("zstd and half a frame", concat(zs, zs[:20])),
		bad("zstd and gzip", concat(zs, gz)), bad("zstd of gzip", zst(gz)), bad("zstd with a frame to skip that is cut", concat(zs, skippable("skipped")[:12])),
		bad("zstd with a window of a gigabyte", []byte("\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00")),
		bad("zlib", zlibbed),
		refuse("compressed: xz", errdefs.ErrNotImplemented, []byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46")),
		refuse("compressed: bzip2", errdefs.ErrNotImplemented, []byte("BZh91AY&SY\x00\x00\x00\x00")),
	}
}

// bombs are small and want to become large.
func bombs() []Case {
	var header bytes.Buffer
	w := tar.NewWriter(&header)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bomb", Size: 1 << 60, Format: tar.FormatPAX}); err != nil {
		panic(err)
	}
	zeros := make([]byte, 8<<20)
	return []Case{
		refuse("bomb: gzip of a file without end", unix.ENOSPC, zip(concat(header.Bytes(), zeros))),
		refuse("bomb: zstd of a file without end", unix.ENOSPC, zst(concat(header.Bytes(), zeros))),
		refuse("bomb: zstd of zeros after the end", errdefs.ErrInvalidArgument, concat(zst(lt.Tar(lt.File("f", "x"))), bytes.Repeat(zst(zeros), 129))).long(),
		refuse("bomb: zstd of empty frames, then nothing", errdefs.ErrDataLoss, concat(bytes.Repeat(zst(nil), 1000), zst([]byte("x")))),
		accept("bomb: one file of zeros", lines{"f = " + text(string(zeros))}, zst(lt.Tar(lt.File("f", string(zeros))))),
	}
}

func (c Case) long() Case {
	c.Long = true
	return c
}
