package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

// The first bytes of a manifest: a line of text with the version, then the kind.
const (
	magic   = "lrun-manifest "
	version = "1\n"
	headLen = len(magic) + len(version) + 1
)

// maxEntry is how long one entry may be, so that a reader needs little memory whatever it is given.
const maxEntry = 16 << 20

// Flags of an entry.
const (
	flagOpaque = 1 << iota
	flagLink
	flagLinkBelow
	flagXattrs
	flagsAll = flagOpaque | flagLink | flagLinkBelow | flagXattrs
)

// appendEntry adds e to b, which comes after the entry of previous: of the path only what differs is written, of the
// time the difference.
func appendEntry(b []byte, e *Entry, previous *Entry) []byte {
	shared := commonPrefix(previous.Path, e.Path)
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendText(b, e.Path[shared:])
	flags := byte(0)
	for _, f := range []struct {
		set  bool
		flag byte
	}{{e.Opaque, flagOpaque}, {e.Link != "", flagLink}, {e.LinkBelow, flagLinkBelow}, {len(e.Xattrs) > 0, flagXattrs}} {
		if f.set {
			flags |= f.flag
		}
	}
	b = append(b, byte(e.Type), flags)
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendUvarint(b, uint64(e.GID))
	b = binary.AppendVarint(b, e.Mtime.Sec-previous.Mtime.Sec)
	b = binary.AppendUvarint(b, uint64(e.Mtime.Nsec))
	switch e.Type {
	case Regular:
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = append(b, e.SHA256[:]...)
	case Symlink:
		b = appendText(b, e.Target)
	case Char, Block:
		b = binary.AppendUvarint(b, e.Rdev)
	case Dir, Fifo, Socket, Whiteout, noType:
	}
	if e.Link != "" {
		b = appendText(b, e.Link)
	}
	if len(e.Xattrs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
		for _, x := range e.Xattrs {
			b = appendText(appendText(b, x.Name), x.Value)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// check says why e cannot be the entry after previous. first: there is none before it.
func check(e, previous *Entry, first bool) error {
	switch {
	case first && (e.Path != "" || e.Type != Dir):
		return fmt.Errorf("it begins with %q of type %q, not with the root directory", e.Path, byte(e.Type))
	case first:
	case ComparePaths(previous.Path, e.Path) >= 0:
		return fmt.Errorf("%q comes after %q", e.Path, previous.Path)
	case !isClean(e.Path):
		return fmt.Errorf("%q is no name in a tree", e.Path)
	}
	for _, field := range []struct {
		name string
		good bool
	}{
		{"type", strings.IndexByte(typeNames, byte(e.Type)) >= 0},
		{"mode", e.Mode&^inode.Permissions == 0},
		{"nanoseconds", e.Mtime.Nsec >= 0 && e.Mtime.Nsec < 1e9},
		{"size", e.Size >= 0},
		{"opaque", !e.Opaque || e.Type == Dir},
		{"link", e.Link == "" && !e.LinkBelow || e.Type != Dir && isClean(e.Link)},
	} {
		if !field.good {
			return fmt.Errorf("%q of type %q has a bad field: %s", e.Path, byte(e.Type), field.name)
		}
	}
	return nil
}

// isClean tells names without empty components, ".", ".." and NUL.
func isClean(name string) bool {
	return name != "." && name != ".." && name != "" && !strings.HasPrefix(name, "../") && name[0] != '/' &&
		path.Clean(name) == name && strings.IndexByte(name, 0) < 0
}

var errShort = errors.New("an entry ends too early")

// decoder reads the fields of one entry. After an error all that it returns is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) number(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) text() string { return string(d.bytes(d.number(uint64(len(d.b))))) }

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

const (
	maxUint32 = 1<<32 - 1
	maxInt64  = 1<<63 - 1
)

// decodeEntry reads what appendEntry wrote, all of b.
func decodeEntry(b []byte, previous *Entry) (Entry, error) {
	d := &decoder{b: b}
	shared := d.number(uint64(len(previous.Path)))
	e := Entry{Path: previous.Path[:shared] + d.text()}
	head := d.bytes(2)
	if d.err != nil {
		return e, d.err
	}
	flags := head[1]
	if flags&^flagsAll != 0 {
		return e, fmt.Errorf("%q has the flags %x", e.Path, flags)
	}
	e.Type, e.Opaque, e.LinkBelow = Type(head[0]), flags&flagOpaque != 0, flags&flagLinkBelow != 0
	e.Mode, e.UID, e.GID = uint32(d.number(maxUint32)), uint32(d.number(maxUint32)), uint32(d.number(maxUint32))
	e.Mtime = unix.Timespec{Sec: previous.Mtime.Sec + d.signed(), Nsec: int64(d.number(1e9))}
	switch e.Type {
	case Regular:
		e.Size = int64(d.number(maxInt64))
		copy(e.SHA256[:], d.bytes(uint64(len(e.SHA256))))
	case Symlink:
		e.Target = d.text()
	case Char, Block:
		e.Rdev = d.number(1<<64 - 1)
	case Dir, Fifo, Socket, Whiteout, noType:
	}
	if flags&flagLink != 0 {
		e.Link = d.text()
	}
	if flags&flagXattrs != 0 {
		for n := d.number(uint64(len(d.b))); n > 0 && d.err == nil; n-- {
			e.Xattrs = append(e.Xattrs, Xattr{Name: d.text(), Value: d.text()})
		}
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = errors.New("an entry ends too late")
	}
	return e, d.err
}
