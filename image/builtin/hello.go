package builtin

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
)

// Where things are inside a container of Hello.
const (
	executablePath = "/lrun"
	basePath       = "/hello/base.txt"
	greetingPath   = "/hello/greeting.txt"
	yesterdayPath  = "/hello/yesterday.txt"
	tablePath      = "/hello/layers.json"

	// WrittenPath is the file that the program writes: it lies in the container's upperdir.
	WrittenPath = "/hello/written.txt"
)

const (
	baseText      = "Layer 1 wrote this file, and no layer above it touched it.\n"
	oldGreeting   = "Layer 1 wrote this greeting. Nobody sees it: layer 2 overwrites it.\n"
	greetingText  = "Layer 2 wrote this greeting over the one of layer 1, which still has its own.\n"
	yesterdayText = "Layer 1 wrote this file. Nobody sees it: layer 3 whites it out.\n"
)

// origin says which layer wrote a file, and what the file is then: one line of the table that the
// top layer carries.
type origin struct {
	Path     string        `json:"path"`
	Layer    int           `json:"layer"`               // counted from 1, the bottom
	HiddenBy int           `json:"hidden_by,omitempty"` // the layer that whites it out; 0: none
	Digest   digest.Digest `json:"digest,omitempty"`    // none for the table itself
	Size     int64         `json:"size,omitempty"`
	Note     string        `json:"note"`
}

// table is the content of tablePath.
type table struct {
	Files []origin `json:"files"`
}

// helloLayers returns the three layers of Hello, bottom first.
func helloLayers(ctx context.Context, executable *os.File) ([]layer, error) {
	info, err := executable.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	whole := func() *io.SectionReader { return io.NewSectionReader(executable, 0, info.Size()) }
	d, size, err := measure(ctx, whole())
	if err != nil {
		return nil, err
	}
	tableJSON, err := json.MarshalIndent(origins(d, size), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", tablePath, err)
	}
	base, err := baseLayer(whole)
	if err != nil {
		return nil, err
	}
	second, err := smallLayer(directory("hello", 0o755), file("hello/greeting.txt", greetingText))
	if err != nil {
		return nil, err
	}
	third, err := smallLayer(directory("hello", 0o755), file("hello/.wh.yesterday.txt", ""),
		file("hello/layers.json", string(tableJSON)+"\n"))
	if err != nil {
		return nil, err
	}
	return []layer{
		{"lrun's own executable and three files", base},
		{"one of the files overwritten", second},
		{"one of the files whited out, and a table of which layer wrote what", third},
	}, nil
}

// origins describes every file of the three layers. The base layer's executable has digest d.
func origins(d digest.Digest, size int64) table {
	describe := func(path string, layer int, content, note string) origin {
		return origin{Path: path, Layer: layer, Digest: digest.FromString(content), Size: int64(len(content)), Note: note}
	}
	hidden := describe(yesterdayPath, 1, yesterdayText, "layer 1 has it, layer 3 whites it out")
	hidden.HiddenBy = 3
	return table{Files: []origin{
		{Path: executablePath, Layer: 1, Digest: d, Size: size, Note: "lrun itself, the program that prints this"},
		describe(basePath, 1, baseText, "as layer 1 wrote it"),
		describe(greetingPath, 2, greetingText, "layer 2 overwrites the one of layer 1"),
		hidden,
		{Path: tablePath, Layer: 3, Note: "the table that these lines are checked against"},
	}}
}

// entry is one entry of a layer.
type entry struct {
	header  tar.Header
	content string
}

func directory(name string, mode int64) entry {
	return entry{header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}}
}

func file(name, content string) entry {
	return entry{header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content: content}
}

// writeEntries writes entries to w, all owned by root and as old as time itself.
func writeEntries(w *tar.Writer, entries []entry) error {
	for _, e := range entries {
		e.header.ModTime = time.Unix(0, 0)
		e.header.Format = tar.FormatUSTAR
		if err := w.WriteHeader(&e.header); err != nil {
			return fmt.Errorf("write entry %q: %w", e.header.Name, err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			return fmt.Errorf("write entry %q: %w", e.header.Name, err)
		}
	}
	return nil
}

// smallLayer returns a layer that is kept in memory.
func smallLayer(entries ...entry) (func() io.Reader, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := writeEntries(w, entries); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return func() io.Reader { return bytes.NewReader(b.Bytes()) }, nil
}

// baseLayer returns the bottom layer. The executable comes last and is not kept in memory: its
// header ends what is, and what follows its bytes are zeros that fill its block and end the archive.
// The mount points are there so that nobody has to make them in the container's upperdir.
func baseLayer(executable func() *io.SectionReader) (func() io.Reader, error) {
	const block = 512
	size := executable().Size()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	lrun := file("lrun", "")
	lrun.header.Mode, lrun.header.Size = 0o755, size
	if err := writeEntries(w, []entry{
		directory("dev", 0o755),
		directory("etc", 0o755),
		file("etc/group", "root:x:0:\n"),
		file("etc/hostname", ""),
		file("etc/hosts", ""),
		file("etc/passwd", "root:x:0:0:root:/:/lrun\n"),
		file("etc/resolv.conf", ""),
		directory("hello", 0o755),
		file("hello/base.txt", baseText),
		file("hello/greeting.txt", oldGreeting),
		file("hello/yesterday.txt", yesterdayText),
		directory("proc", 0o555),
		directory("sys", 0o555),
		directory("tmp", 0o1777),
		lrun,
	}); err != nil {
		return nil, err
	}
	tail := make([]byte, (block-size%block)%block+2*block)
	return func() io.Reader {
		return io.MultiReader(bytes.NewReader(b.Bytes()), executable(), bytes.NewReader(tail))
	}, nil
}
