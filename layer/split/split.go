// Package split keeps apart what a layer's tar has beside the contents of its files: headers, padding, and the order of
// all. With that and the unpacked files the tar is put together again, byte for byte, so that its blob need not be kept.
//
// The form is that of tar-split (github.com/vbatts/tar-split), with a first and a last line that its readers skip, so that
// damage and a cut are told; docs/format.md describes the bytes. The library itself is an oracle of the tests only: its
// packages make tables at every start of the program, refuse what has two entries of one name, write the holes of sparse
// files out, and take in entries of any length.
package split

import (
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// FileName is the name of the split data beside the files of a layer.
const FileName = "tar-split"

const (
	format  = "lrun-split"
	version = 1

	isFile    = 1 // the content of a file of the layer, named by its path
	isSegment = 2 // bytes that are in no file

	maxSegment = 64 << 10  // bytes in one segment
	maxLine    = 256 << 10 // a segment in base64, or a path of 4095 bytes in JSON
	maxInline  = 1 << 20   // the longest content without a file of its own that is kept here
)

// Total is what a whole stream is.
type Total struct {
	DiffID  digest.Digest
	Size    int64 // of the tar
	Entries int   // of the split data
}

// head is the first line.
type head struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// entry is a line of tar-split's.
type entry struct {
	Type     int    `json:"type"`
	Name     string `json:"name,omitempty"`
	NameRaw  []byte `json:"name_raw,omitempty"` // instead of Name, when that is not UTF-8
	Size     int64  `json:"size,omitempty"`
	Payload  []byte `json:"payload"` // of a segment its bytes, of a file the CRC-64 of its content
	Position int    `json:"position"`
}

func (e *entry) setName(name string) {
	if utf8.ValidString(name) {
		e.Name = name
	} else {
		e.NameRaw = []byte(name)
	}
}

func (e *entry) name() string {
	if len(e.NameRaw) > 0 {
		return string(e.NameRaw)
	}
	return e.Name
}

// tail is the last line.
type tail struct {
	Entries int           `json:"entries"`
	Size    int64         `json:"size"`
	DiffID  digest.Digest `json:"diffID"`
	SHA256  string        `json:"sha256"` // of all lines before, in hexadecimal digits
}

// newCRC is the checksum that tar-split has for contents. Its tables are made when they are first asked for.
func newCRC() func([]byte) [crc64.Size]byte {
	table := crc64.MakeTable(crc64.ISO)
	sum := uint64(0)
	return func(p []byte) (b [crc64.Size]byte) {
		sum = crc64.Update(sum, table, p)
		for i := range b {
			b[i] = byte(sum >> (56 - 8*i))
		}
		return b
	}
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("it is damaged: %s: %w", fmt.Sprintf(format, args...), errdefs.ErrDataLoss)
}

// cutOff tells an end that comes too early from an error of the reader below.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: %w", errdefs.ErrDataLoss)
	}
	return err
}
