package split

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/containerd/errdefs"
)

// CheckFile reads the split data in the file path to its end and says what it is of. A file that is not there is
// errdefs.ErrNotFound; what else is wrong is as Reader has it.
func CheckFile(ctx context.Context, path string) (t Total, err error) {
	f, r, err := open(path)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		if _, err := r.next(); errors.Is(err, io.EOF) {
			return r.Total(), nil
		} else if err != nil {
			return t, fmt.Errorf("%q: %w", path, err)
		}
	}
}

func open(path string) (*os.File, *Reader, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, nil, err
	}
	r, err := NewReader(f)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%q: %w", path, err), f.Close())
	}
	return f, r, nil
}

// Source is a layer whose tar can be put together.
type Source struct {
	Total
	path, files string
}

// NewSource is the layer whose split data is in the file path and whose files are in the directory files. It reads the split
// data to its end, as CheckFile does.
func NewSource(ctx context.Context, path, files string) (Source, error) {
	total, err := CheckFile(ctx, path)
	return Source{total, path, files}, err
}

// Tar is the stream of a layer that is put together while it is read. Its errors are those of Assemble.
type Tar struct {
	*io.PipeReader
	done sync.WaitGroup
}

// Open begins to put the tar together. The caller closes it. What is gone since NewSource is errdefs.ErrDataLoss.
func (s Source) Open(ctx context.Context) (*Tar, error) {
	f, r, err := open(s.path)
	if errdefs.IsNotFound(err) {
		err = fmt.Errorf("%s: %w", err.Error(), errdefs.ErrDataLoss)
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(s.files)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t := &Tar{}
	var w *io.PipeWriter
	t.PipeReader, w = io.Pipe()
	t.done.Go(func() {
		buf := bufio.NewWriterSize(w, 256<<10)
		err := Assemble(ctx, buf, dir, r)
		if err == nil {
			err = buf.Flush()
		}
		w.CloseWithError(errors.Join(err, f.Close(), dir.Close())) // of nil: the end
	})
	return t, nil
}

// Close ends the reading and waits until nothing is open any more.
func (t *Tar) Close() error {
	err := t.PipeReader.Close()
	t.done.Wait()
	return err
}
