// Package layertest makes image layers out of values and knows, slowly and obviously, what tree a chain of them is.
// It is for tests only.
package layertest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"strings"
	"time"
)

// Mtime is the modification time of entries that say no other.
var Mtime = time.Unix(1_000_000_000, 123_456_789)

// Entry is one entry of a layer tar.
type Entry struct {
	Header tar.Header
	Body   string
}

// Option changes an entry.
type Option func(*Entry)

// Mode sets the permissions with setuid (04000), setgid and sticky; else files have 0644 and directories 0755.
func Mode(mode int64) Option { return func(e *Entry) { e.Header.Mode = mode } }

// Owner sets the numeric owners.
func Owner(uid, gid int) Option { return func(e *Entry) { e.Header.Uid, e.Header.Gid = uid, gid } }

// Time sets the modification time.
func Time(t time.Time) Option { return func(e *Entry) { e.Header.ModTime = t } }

// Xattr adds an extended attribute.
func Xattr(name, value string) Option {
	return func(e *Entry) {
		if e.Header.PAXRecords == nil {
			e.Header.PAXRecords = map[string]string{}
		}
		e.Header.PAXRecords["SCHILY.xattr."+name] = value
	}
}

// Dir is a directory.
func Dir(name string, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimSuffix(name, "/") + "/", Mode: 0o755}, "", o)
}

// File is a regular file.
func File(name, content string, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content, o)
}

// Symlink is a symbolic link.
func Symlink(name, target string, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, "", o)
}

// Link is a hard link.
func Link(name, target string, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644}, "", o)
}

// Char is a character device.
func Char(name string, major, minor int64, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeChar, Name: name, Devmajor: major, Devminor: minor, Mode: 0o600}, "", o)
}

// Block is a block device.
func Block(name string, major, minor int64, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeBlock, Name: name, Devmajor: major, Devminor: minor, Mode: 0o600}, "", o)
}

// Fifo is a FIFO.
func Fifo(name string, o ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeFifo, Name: name, Mode: 0o600}, "", o)
}

// Whiteout removes name of the layers below.
func Whiteout(name string) Entry {
	dir, base := path.Split(name)
	return File(dir+".wh."+base, "", Mode(0))
}

// Opaque removes all that the layers below have in dir, "" or "." being the root.
func Opaque(dir string) Entry { return File(path.Join(dir, ".wh..wh..opq"), "", Mode(0)) }

func entry(h tar.Header, body string, options []Option) Entry {
	h.Format, h.ModTime = tar.FormatPAX, Mtime
	e := Entry{Header: h, Body: body}
	for _, o := range options {
		o(&e)
	}
	return e
}

// String tells an entry in a line, for messages of tests.
func (e Entry) String() string {
	s := fmt.Sprintf("%c %q", e.Header.Typeflag, e.Header.Name)
	if e.Header.Linkname != "" {
		s += fmt.Sprintf(" -> %q", e.Header.Linkname)
	}
	return s
}

// Tar makes a layer. It panics on an entry that no tar can hold.
func Tar(entries ...Entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			panic(fmt.Sprintf("header of %v: %v", e, err))
		}
		if _, err := w.Write([]byte(e.Body)); err != nil {
			panic(fmt.Sprintf("body of %v: %v", e, err))
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}
