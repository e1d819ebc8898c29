package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestEndlessPadding: a small blob that holds zeros without end after its archive is refused.
func TestEndlessPadding(t *testing.T) {
	testutil.RequireRoot(t)
	stream := io.MultiReader(bytes.NewReader(lt.Tar(lt.File("f", "x"))), zeros{})
	_, err := layer.Apply(context.Background(), openDir(t, tempDir(t)), stream, onOverlay)
	if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "end of the archive") {
		t.Errorf("got %v", err)
	}
}

// TestFileWithoutRoom: a header that claims more than the disk has ends the layer at once, however much follows.
func TestFileWithoutRoom(t *testing.T) {
	testutil.RequireRoot(t)
	var header bytes.Buffer
	must(t, tar.NewWriter(&header).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bomb", Size: 1 << 60, Format: tar.FormatPAX}))
	_, err := layer.Apply(context.Background(), openDir(t, tempDir(t)), io.MultiReader(&header, zeros{}), onOverlay)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), `"bomb"`) || !strings.Contains(err.Error(), "more than are free") {
		t.Errorf("got %v", err)
	}
}

// TestHoleBomb: so does one with holes that take no room and no end.
func TestHoleBomb(t *testing.T) {
	testutil.RequireRoot(t)
	bomb := sparseTar()
	copy(bomb[483:], []byte{0x80, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0}) // base-256: 2^60
	repair(bomb)
	_, err := applyWith(t, tempDir(t), bomb, onOverlay)
	if !errors.Is(err, errdefs.ErrInvalidArgument) && !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("got %v", err)
	}
}
