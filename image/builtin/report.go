package builtin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Lower is one layer of the image as it lies on disk, hashed before the container started and after
// it ended (layer.TreeDigest).
type Lower struct {
	Path   string // the directory: a lowerdir, or a copy of the vfs driver
	Before digest.Digest
	After  digest.Digest
}

// Outcome is what lrun knows after a container of Hello has ended.
type Outcome struct {
	Lowers    []Lower // bottom first
	Written   string  // the path on the host of what is WrittenPath inside; "" when it was not written
	Container string  // the container's name; "" when it is removed already (--rm)
}

// Report writes the closing words of a run of Hello to w: that the layers below hash as before,
// where the written file lay, and what to try next. A layer that has changed is errdefs.ErrDataLoss,
// after everything is written.
func Report(w io.Writer, o Outcome) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "\nThe container has ended. lrun hashed the layers below before it started and again now:\n"+
		"every name, mode, owner, time, attribute and byte.\n\n")
	changed := compare(&out, o.Lowers)
	if o.Written != "" {
		fmt.Fprintf(&out, "\nWhat the program wrote went to the container's own directory, not into a layer:\n\n  %s\n", o.Written)
		if o.Container == "" {
			fmt.Fprintf(&out, "\nIt is gone already: --rm has removed the container and all that was its own.\n")
		}
	}
	next(&out, o.Container)
	if _, err := w.Write(out.Bytes()); err != nil {
		return errors.Join(err, changed)
	}
	return changed
}

// compare writes one line for each layer, topmost first as they are stacked.
func compare(out *bytes.Buffer, lowers []Lower) error {
	var lines [][]string
	var errs []error
	for i, l := range slices.Backward(lowers) {
		state := "unchanged"
		if l.Before != l.After {
			state = "CHANGED"
			errs = append(errs, fmt.Errorf("layer %d changed while the container ran: %s was %s, is %s: %w",
				i+1, l.Path, l.Before, l.After, errdefs.ErrDataLoss))
		}
		lines = append(lines, []string{fmt.Sprintf("layer %d", i+1), state, short(l.After), l.Path})
	}
	columns(out, lines)
	return errors.Join(errs...)
}

// short returns the beginning of d: enough to tell two apart by eye.
func short(d digest.Digest) string {
	const algorithm, length = len("sha256:"), 12
	if len(d) < algorithm+length {
		return string(d)
	}
	return string(d[:algorithm+length])
}

// next writes what to try next.
func next(out *bytes.Buffer, container string) {
	lines := [][]string{
		{"lrun load -i IMAGE.tar", "load an image that docker save, podman save or skopeo wrote"},
		{"lrun images", "list the images that lrun has"},
		{"lrun run -it --name box IMAGE sh", "start a shell in a container of it"},
	}
	if container != "" {
		lines = append(lines, []string{"lrun rm " + container, "remove this container and what it wrote"})
	}
	fmt.Fprintf(out, "\nTry next:\n\n")
	columns(out, lines)
}

// columns writes lines of cells, indented and aligned.
func columns(out *bytes.Buffer, lines [][]string) {
	const indent, gap = 2, 3
	var widths []int
	for _, line := range lines {
		widths = append(widths, make([]int, max(len(line)-len(widths), 0))...)
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, line := range lines {
		fmt.Fprintf(out, "%*s", indent, "")
		last := len(line) - 1
		for i, cell := range line[:last] {
			fmt.Fprintf(out, "%-*s", widths[i]+gap, cell)
		}
		fmt.Fprintln(out, line[last])
	}
}
