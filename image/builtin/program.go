package builtin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

const writtenText = "The program of @hello wrote this file. It is in no layer of the image.\n"

// Main is the program of Hello, run inside a container whose root directory is root ("/"). It reads
// every file of the image back, writes WrittenPath, and prints to stdout what it sees and which
// layer each file came from. A file that is not what its layer wrote is errdefs.ErrDataLoss, after
// all lines are printed; a root directory that is read-only is no error.
func Main(stdout io.Writer, root string) error {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	overlay, err := isOverlay(dir)
	if err != nil {
		return err
	}
	files, err := readTable(dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	greet(&out, overlay)
	checkErr := tell(&out, dir, files, overlay)
	if checkErr == nil {
		fmt.Fprintf(&out, "\nEvery file was read back and is, byte for byte, what its layer wrote.\n")
	}
	if _, err := stdout.Write(out.Bytes()); err != nil {
		return errors.Join(err, checkErr)
	}
	return checkErr
}

// isOverlay tells whether the root directory is overlayfs, rather than the vfs driver's copy.
func isOverlay(dir *os.Root) (bool, error) {
	f, err := dir.Open(".")
	if err != nil {
		return false, err
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return false, fmt.Errorf("statfs %q: %w", dir.Name(), err)
	}
	return s.Type == unix.OVERLAYFS_SUPER_MAGIC, nil
}

func readTable(dir *os.Root) ([]origin, error) {
	b, err := dir.ReadFile(strings.TrimPrefix(tablePath, "/"))
	if err != nil {
		return nil, fmt.Errorf("read the table of the image %s (this command is its program): %w", Hello, err)
	}
	var t table
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", tablePath, err, errdefs.ErrDataLoss)
	}
	return t.Files, nil
}

// greet says who speaks and what its root directory is made of.
func greet(out *bytes.Buffer, overlay bool) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	fmt.Fprintf(out, "Hello from inside a container!\n\n")
	fmt.Fprintf(out, "This is process %d on the host %q, as user %d. ", os.Getpid(), host, os.Getuid())
	if overlay {
		fmt.Fprintf(out, "Its root directory is an overlayfs\n"+
			"of three read-only layers and, above them, an upperdir that is this container's alone:\n\n")
		return
	}
	fmt.Fprintf(out, "Its root directory is a copy\n"+
		"of three read-only layers, made by the vfs driver for this container alone:\n\n")
}

// tell writes the lines of the table, each checked against what dir holds, and writes WrittenPath.
func tell(out *bytes.Buffer, dir *os.Root, files []origin, overlay bool) error {
	lines := [][]string{{"FILE", "FROM", "WHAT HAPPENED"}}
	var errs []error
	for _, f := range files {
		from, note := fmt.Sprintf("layer %d", f.Layer), f.Note
		if f.HiddenBy != 0 {
			from = "gone"
		}
		if f.Path == executablePath {
			note = fmt.Sprintf("%s (%.1f MB)", note, float64(f.Size)/1e6)
		}
		if err := check(dir, f); err != nil {
			errs = append(errs, err)
			note = "NOT AS THE LAYERS SAY"
		}
		lines = append(lines, []string{f.Path, from, note})
	}
	from, note, err := write(dir, overlay)
	columns(out, append(lines, []string{WrittenPath, from, note}))
	return errors.Join(append(errs, err)...)
}

// check compares what dir holds with what the table says of f.
func check(dir *os.Root, f origin) error {
	name := strings.TrimPrefix(f.Path, "/")
	if f.HiddenBy != 0 {
		switch _, err := dir.Lstat(name); {
		case err == nil:
			return fmt.Errorf("%s is there, although layer %d whites it out: %w", f.Path, f.HiddenBy, errdefs.ErrDataLoss)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		return nil
	}
	file, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if f.Digest == "" {
		return nil
	}
	found, err := digest.FromReader(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	if found != f.Digest {
		return fmt.Errorf("%s is not what layer %d wrote: expected %s, found %s: %w",
			f.Path, f.Layer, f.Digest, found, errdefs.ErrDataLoss)
	}
	return nil
}

// write writes WrittenPath and returns where it went to and what to say of it.
func write(dir *os.Root, overlay bool) (from, note string, err error) {
	from = "upperdir"
	if !overlay {
		from = "copy"
	}
	switch err := dir.WriteFile(strings.TrimPrefix(WrittenPath, "/"), []byte(writtenText), 0o644); {
	case errors.Is(err, unix.EROFS):
		return "nowhere", "not written: this container's root directory is read-only", nil
	case err != nil:
		return from, "NOT WRITTEN", err
	}
	return from, "written by this program just now", nil
}
