package corpus

import (
	"bytes"
	"fmt"
	"slices"
)

// fields are those of a tar header that is written by hand, as no library would write it.
type fields struct {
	name, link string
	typ        byte
	size       int
	pax        []byte         // records of a header of their own before this one
	patch      map[int]string // bytes at offsets of the header
	magic      string         // "" is ustar's
	broken     bool           // its checksum is wrong
}

// Offsets in a header.
const (
	atMode, atUID, atGID, atSize, atTime, atSum, atMagic, atMajor, atPrefix = 100, 108, 116, 124, 136, 148, 257, 329, 345
)

const (
	magicUstar = "ustar\x0000"
	magicGNU   = "ustar  \x00"
	magicV7    = "\x00"
	// second is the time of all entries that are written by hand: whole seconds are all that a header has.
	second = " @1000000000"
)

// entry is one entry with its padded body, of which size may tell a lie.
func entry(f fields, body string) []byte {
	if f.magic == "" {
		f.magic = magicUstar
	}
	h := make([]byte, 512)
	copy(h, f.name)
	copy(h[157:257], f.link)
	for at, number := range map[int]int{atMode: 0o644, atUID: 0, atGID: 0} {
		copy(h[at:], fmt.Sprintf("%07o", number))
	}
	copy(h[atSize:], fmt.Sprintf("%011o", f.size))
	copy(h[atTime:], fmt.Sprintf("%011o", 1_000_000_000))
	h[156] = f.typ
	copy(h[atMagic:], f.magic)
	for at, bytes := range f.patch {
		copy(h[at:], bytes)
	}
	copy(h[atSum:], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	if f.broken {
		sum++
	}
	copy(h[atSum:], fmt.Sprintf("%06o\x00 ", sum))
	var before []byte
	if f.pax != nil {
		before = entry(fields{name: "PaxHeaders/x", typ: 'x', size: len(f.pax)}, string(f.pax))
	}
	return slices.Concat(before, h, padded(body))
}

// raw is an archive of one entry.
func raw(f fields, body string) []byte { return concat(entry(f, body), end()) }

func concat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func padded(body string) []byte {
	return append([]byte(body), make([]byte, -len(body)&511)...)
}

// end is the end of an archive.
func end() []byte { return make([]byte, 1024) }

// open is an archive without its end.
func open(tar []byte) []byte { return tar[:len(tar)-1024] }

// records are PAX records of keys and values.
func records(pairs ...string) []byte {
	var b bytes.Buffer
	for i := 0; i < len(pairs); i += 2 {
		text := " " + pairs[i] + "=" + pairs[i+1] + "\n"
		n := len(text) + 1
		for len(fmt.Sprint(n))+len(text) != n {
			n++
		}
		fmt.Fprintf(&b, "%d%s", n, text)
	}
	return b.Bytes()
}
