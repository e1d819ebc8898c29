package split_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/split"
)

// read reads data to its end.
func read(t testing.TB, data []byte) error {
	t.Helper()
	path := t.TempDir() + "/data"
	must(t, os.WriteFile(path, data, 0o600))
	_, err := split.CheckFile(t.Context(), path)
	return err
}

// sealed is data of the given lines with the last line that belongs to them.
func sealed(t testing.TB, size int64, lines ...string) []byte {
	t.Helper()
	text := strings.Join(append([]string{`{"format":"lrun-split","version":1}`}, lines...), "\n") + "\n"
	return pack(t, text+fmt.Sprintf(`{"entries":%d,"size":%d,"diffID":"sha256:%064x","sha256":"%x"}`+"\n", len(lines), size, 1, sha256.Sum256([]byte(text))))
}

func TestEveryByteAndEveryCut(t *testing.T) {
	dir := tree(t, "f", "content")
	d := data(t, lt.Tar(lt.Dir("d"), lt.File("f", "content")), dir)
	must(t, read(t, d))
	header := 10 // of gzip: time, flags and system mean nothing
	for i := range d {
		if err := read(t, d[:i]); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Fatalf("cut off after %d of %d bytes: %v", i, len(d), err)
		}
		if i < header {
			continue
		}
		other := bytes.Clone(d)
		other[i] ^= 0x10
		err := read(t, other)
		if err == nil && lines(t, other) == lines(t, d) { // a bit that means nothing to gzip
			continue
		}
		if !errors.Is(err, errdefs.ErrDataLoss) {
			t.Fatalf("byte %d of %d: %v", i, len(d), err)
		}
	}
}

func TestDamagedLines(t *testing.T) {
	const segment = `{"type":2,"payload":"YQ==","position":0}`
	must(t, read(t, sealed(t, 1, segment)))
	text := lines(t, sealed(t, 1, segment))
	for name, data := range map[string][]byte{
		"none":                 nil,
		"no gzip":              []byte("x" + text),
		"another gzip":         pack(t, "hello\n"),
		"an empty one":         pack(t, ""),
		"no last line":         pack(t, text[:strings.LastIndex(text, `{"entries"`)]),
		"a line too many":      pack(t, text+segment+"\n"),
		"bytes at the end":     append(sealed(t, 1, segment), "x"...),
		"a member at the end":  append(sealed(t, 1, segment), pack(t, "more")...),
		"a byte changed":       pack(t, strings.Replace(text, "YQ==", "YA==", 1)),
		"the wrong size":       sealed(t, 2, segment),
		"an order":             sealed(t, 1, strings.Replace(segment, `n":0`, `n":1`, 1)),
		"no type":              sealed(t, 1, strings.Replace(segment, `"type":2,`, ``, 1)),
		"another type":         sealed(t, 1, strings.Replace(segment, `2`, `3`, 1)),
		"a file without name":  sealed(t, 5, `{"type":1,"size":5,"payload":"AAAAAAAAAAA=","position":0}`),
		"a file of no size":    sealed(t, 0, `{"type":1,"name":"f","payload":"AAAAAAAAAAA=","position":0}`),
		"a file less than 0":   sealed(t, -5, `{"type":1,"name":"f","size":-5,"payload":"AAAAAAAAAAA=","position":0}`),
		"a file without a sum": sealed(t, 5, `{"type":1,"name":"f","size":5,"payload":"AAAA","position":0}`),
		"an empty segment":     sealed(t, 0, `{"type":2,"payload":"","position":0}`),
		"no JSON":              sealed(t, 1, `{"type":2,`),
		"no base64":            sealed(t, 1, `{"type":2,"payload":"!","position":0}`),
	} {
		if err := read(t, data); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := read(t, pack(t, `{"format":"lrun-split","version":2}`+"\n")); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("another version: %v", err)
	}
}

// Names in damaged data lead nowhere.
func TestNamesThatLeadOut(t *testing.T) {
	dir := tree(t, "in/f", "12345", "secret", "12345")
	must(t, os.Symlink("../secret", dir+"/in/link"))
	for _, name := range []string{"../secret", "/etc/passwd", "link", "f/..", ".", "/", dir + "/secret", strings.Repeat("n", 300)} {
		d := sealed(t, 5, fmt.Sprintf(`{"type":1,"name":%q,"size":5,"payload":"AAAAAAAAAAA=","position":0}`, name))
		if got, err := assemble(t.Context(), d, dir+"/in"); !errors.Is(err, errdefs.ErrDataLoss) || len(got) > 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A line of gigabytes takes no more memory than any other.
func TestMemory(t *testing.T) {
	var before, after runtime.MemStats
	for name, line := range map[string]string{"a line": `{"type":2,"payload":"` + strings.Repeat("A", 64<<20), "no line": strings.Repeat("\x00", 64<<20)} {
		d := pack(t, `{"format":"lrun-split","version":1}`+"\n"+line)
		runtime.ReadMemStats(&before)
		err := read(t, d)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errdefs.ErrDataLoss) || got > 4<<20 {
			t.Errorf("%s: %d bytes were allocated, %v", name, got, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	dir := tree(f, "f", "content")
	layer := lt.Tar(lt.Dir("d"), lt.File("f", "content"))
	f.Add([]byte(lines(f, data(f, layer, dir))))
	f.Add([]byte(lines(f, sealed(f, 1, `{"type":2,"payload":"YQ==","position":0}`))))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, d := range [][]byte{text, pack(t, string(text))} {
			got, err := assemble(t.Context(), d, dir)
			if err == nil && !strings.Contains(string(text), "sha256") {
				t.Errorf("%d bytes of data without an end", len(got))
			}
		}
	})
}

func FuzzWrite(f *testing.F) {
	dir := tree(f, "f", "content")
	for _, form := range forms(f) {
		if len(form.tar) < 100_000 {
			f.Add(form.tar)
		}
	}
	x := index(f, dir)
	f.Fuzz(func(t *testing.T, layer []byte) {
		var out bytes.Buffer
		if _, err := split.Write(t.Context(), &out, bytes.NewReader(layer), x); err != nil {
			return
		}
		got, err := assemble(t.Context(), out.Bytes(), dir)
		if err != nil || !bytes.Equal(got, layer) {
			t.Errorf("%d bytes of %d, %v", len(got), len(layer), err)
		}
	})
}
