package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

func hostArch() string { return runtime.GOARCH }

// busyboxApplets are the names that the image's busybox has. There are no more, for a small layer.
const busyboxApplets = "sh ash cat chmod chown cp cut date dd df echo env false find grep head hostname id kill ls ln mkdir mknod mount mv nproc printf ps pwd rm rmdir sed seq sleep sort stat stty sync tail tar tee test timeout touch tr true truncate tty umount uname wc which yes md5sum sha256sum readlink umask usleep xargs ip ifconfig mkfifo du awk od hexdump setsid nc chroot dmesg"

// tarOf is the uncompressed tar of a layer.
func tarOf(l *layerSpec) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	var headers []*tar.Header
	contents := map[*tar.Header][]byte{}
	for _, e := range l.entries {
		hs, err := headersOf(e, contents)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", e.kind, e.words, err)
		}
		if e.kind == "xattr" {
			last := headers[len(headers)-1]
			if last.PAXRecords == nil {
				last.PAXRecords = map[string]string{}
			}
			last.PAXRecords["SCHILY.xattr."+e.words[1]] = e.words[2]
		}
		headers = append(headers, hs...)
	}
	for _, h := range headers {
		h.ModTime = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
		h.Size = int64(len(contents[h]))
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(contents[h]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

// headersOf makes the tar entries of a line.
func headersOf(e entry, contents map[*tar.Header][]byte) ([]*tar.Header, error) {
	name := e.word(0, "")
	switch e.kind {
	case "busybox":
		return busyboxEntries(contents)
	case "dir":
		h, err := owned(tar.TypeDir, name+"/", e.word(1, "755"), e.word(2, "0:0"))
		return []*tar.Header{h}, err
	case "file":
		h, err := owned(tar.TypeReg, name, e.word(1, "644"), e.word(2, "0:0"))
		contents[h] = []byte(e.word(3, name+"\n"))
		return []*tar.Header{h}, err
	case "host":
		content, err := hostFile(e.word(2, ""))
		if err != nil {
			return nil, err
		}
		h, err := owned(tar.TypeReg, name, e.word(1, "755"), "0:0")
		contents[h] = content
		return []*tar.Header{h}, err
	case "symlink":
		return []*tar.Header{{Typeflag: tar.TypeSymlink, Name: name, Linkname: e.word(1, ""), Mode: 0o777}}, nil
	case "hardlink":
		return []*tar.Header{{Typeflag: tar.TypeLink, Name: name, Linkname: e.word(1, "")}}, nil
	case "char":
		major, err := strconv.ParseInt(e.word(1, ""), 10, 64)
		if err != nil {
			return nil, err
		}
		minor, err := strconv.ParseInt(e.word(2, ""), 10, 64)
		return []*tar.Header{{Typeflag: tar.TypeChar, Name: name, Mode: 0o666, Devmajor: major, Devminor: minor}}, err
	case "fifo":
		return []*tar.Header{{Typeflag: tar.TypeFifo, Name: name, Mode: 0o644}}, nil
	case "whiteout":
		return []*tar.Header{{Typeflag: tar.TypeReg, Name: path.Join(path.Dir(name), ".wh."+path.Base(name))}}, nil
	case "opaque":
		return []*tar.Header{{Typeflag: tar.TypeReg, Name: path.Join(name, ".wh..wh..opq")}}, nil
	case "xattr":
		return nil, nil
	}
	return nil, fmt.Errorf("no such line")
}

func owned(kind byte, name, mode, owner string) (*tar.Header, error) {
	h := &tar.Header{Typeflag: kind, Name: name}
	var err error
	if h.Mode, err = strconv.ParseInt(mode, 8, 64); err != nil {
		return h, err
	}
	uid, gid, _ := strings.Cut(owner, ":")
	if h.Uid, err = strconv.Atoi(uid); err != nil {
		return h, err
	}
	h.Gid, err = strconv.Atoi(gid)
	return h, err
}

// hostFile reads a file of the host, or a program of PATH.
func hostFile(name string) ([]byte, error) {
	if !strings.Contains(name, "/") {
		found, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		name = found
	}
	return os.ReadFile(name)
}

func busyboxEntries(contents map[*tar.Header][]byte) ([]*tar.Header, error) {
	program, err := hostFile("busybox")
	if err != nil {
		return nil, err
	}
	dir := func(name string, mode int64) *tar.Header {
		return &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}
	}
	file := func(name, content string, mode int64) *tar.Header {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}
		contents[h] = []byte(content)
		return h
	}
	all := []*tar.Header{
		dir("bin", 0o755), dir("etc", 0o755), dir("root", 0o700), dir("tmp", 0o1777), dir("home", 0o755), dir("var", 0o755),
		file("bin/busybox", string(program), 0o755),
		file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n", 0o644),
		file("etc/group", "root:x:0:\nuser:x:1000:\nwheel:x:10:root,user\nextra:x:77:user\n", 0o644),
	}
	for applet := range strings.FieldsSeq(busyboxApplets) {
		all = append(all, &tar.Header{Typeflag: tar.TypeLink, Name: "bin/" + applet, Linkname: "bin/busybox"})
	}
	return all, nil
}

// compress returns data in a format: gzip, zstd or plain.
func compress(data []byte, format string) ([]byte, error) {
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch format {
	case "plain":
		return data, nil
	case "gzip":
		w, err = gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	case "zstd":
		w, err = zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	default:
		err = fmt.Errorf("no compression %q", format)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return buf.Bytes(), err
}
