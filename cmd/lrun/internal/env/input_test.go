package env

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestInputReadsAll(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", inputBuffer/4)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, in := range map[string]io.Reader{"stream": strings.NewReader(long), "one byte at a time": iotest.OneByteReader(strings.NewReader(long[:9999])), "file": file, "nothing": strings.NewReader("")} {
		e := With(in, nil, nil)
		got, err := io.ReadAll(e.Input(t.Context()))
		if err != nil || !strings.HasPrefix(long, string(got)) || (name != "nothing") == (len(got) == 0) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
}

func TestInputPassesErrorsOn(t *testing.T) {
	failure := errors.New("no")
	e := With(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(failure)), nil, nil)
	got, err := io.ReadAll(e.Input(t.Context()))
	if !errors.Is(err, failure) || string(got) != "abc" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestInputEndsWithItsContext(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	e := With(r, &bytes.Buffer{}, nil)
	in := e.Input(ctx)
	if _, err := w.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
