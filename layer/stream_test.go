package layer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

func TestDiffIDIsOfTheWholeStream(t *testing.T) {
	testutil.RequireRoot(t)
	small := lt.Tar(lt.Dir("d"), lt.File("d/f", "12345"), lt.File("g", "678"), lt.Whiteout("h"))
	large := lt.Tar(lt.File("large", strings.Repeat("0123456789abcdef", 100_000)))
	for _, tt := range []struct {
		name    string
		tar     []byte
		size    int64
		entries int
	}{
		{"small", small, 8, 4},
		{"large", large, 1_600_000, 1},
		{"padded as tar does", append(bytes.Clone(small), make([]byte, 10240-len(small)%10240)...), 8, 4},
		{"padded with a megabyte", append(bytes.Clone(small), make([]byte, 1<<20)...), 8, 4},
		{"padded with something", append(bytes.Clone(large), "not a header"...), 1_600_000, 1},
		{"without its end", small[:len(small)-1024], 8, 4},
		{"no entry", lt.Tar(), 0, 0},
		{"empty", nil, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(tt.tar), iotest.HalfReader(bytes.NewReader(tt.tar)), iotest.DataErrReader(bytes.NewReader(tt.tar))} {
				a, err := layer.Apply(context.Background(), openDir(t, tempDir(t)), r, layer.ApplyOptions{})
				must(t, err)
				if a.DiffID != digest.FromBytes(tt.tar) || a.Size != tt.size || a.Entries != tt.entries || !a.Needs.Empty() {
					t.Errorf("got %+v", a)
				}
			}
		})
	}
}

func TestDamagedStream(t *testing.T) {
	testutil.RequireRoot(t)
	tar := lt.Tar(lt.File("f", strings.Repeat("x", 3000)), lt.File("g", "y"))
	bad := bytes.Clone(tar)
	bad[bytes.LastIndex(tar, []byte("g\x00"))] = 'h' // the name in the last header, which has a sum
	for name, in := range map[string][]byte{
		"cut in a file": tar[:1500], "cut in a header": tar[:len(tar)-1024-700], "no tar": bytes.Repeat([]byte("lrun"), 1000), "bad header": bad,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := applyWith(t, tempDir(t), in, layer.ApplyOptions{}); !errors.Is(err, errdefs.ErrDataLoss) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// What goes wrong below the tar is reported as it is, wherever it strikes.
func TestReaderFails(t *testing.T) {
	testutil.RequireRoot(t)
	broken := errors.New("the disk is out")
	tar := lt.Tar(lt.File("f", strings.Repeat("x", 600<<10)), lt.File("g", "y"))
	for _, n := range []int{0, 100, 512, 5000, 300 << 10, len(tar) - 1500, len(tar) - 10, len(tar)} {
		r := io.MultiReader(bytes.NewReader(tar[:n]), iotest.ErrReader(broken))
		_, err := layer.Apply(context.Background(), openDir(t, tempDir(t)), r, layer.ApplyOptions{})
		if !errors.Is(err, broken) || errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("after %d bytes: got %v", n, err)
		}
	}
}

// endless gives a file without end, of which the header says that it is long.
type endless struct{ head io.Reader }

func (e endless) Read(p []byte) (int, error) {
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestCancel(t *testing.T) {
	testutil.RequireRoot(t)
	long := lt.File("f", "")
	long.Header.Size = 1 << 30
	var head bytes.Buffer
	w := newTarWriter(&head)
	must(t, w.WriteHeader(&long.Header))
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := layer.Apply(ctx, openDir(t, tempDir(t)), endless{&head}, layer.ApplyOptions{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if _, err := layer.Apply(ctx, openDir(t, tempDir(t)), bytes.NewReader(lt.Tar(lt.Dir("d"))), layer.ApplyOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("already over: got %v", err)
	}
	if err := layer.Settle(ctx, openDir(t, tempDir(t)), layer.Needs{ImpliedDirs: []string{"d"}}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("settle: got %v", err)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// Several layers at once share nothing.
func TestApplyConcurrently(t *testing.T) {
	testutil.RequireRoot(t)
	tar := lt.Tar(lt.Dir("d"), lt.File("d/f", strings.Repeat("x", 1<<20)), lt.File("e/f", ""))
	results := make(chan string)
	for range 4 {
		dir := tempDir(t)
		go func() {
			a, err := applyWith(t, dir, tar, onOverlay)
			results <- fmt.Sprint(a.DiffID, a.Needs.ImpliedDirs, err)
		}()
	}
	want := fmt.Sprint(digest.FromBytes(tar), []string{"e"}, nil)
	for range 4 {
		if got := <-results; got != want {
			t.Errorf("got %s", got)
		}
	}
}
