package stage

import (
	"reflect"
	"runtime"
	"testing"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

func steps() []Step {
	return []Step{
		{Op: OpRoot, FD: 3, Path: "/run/lrun/containers/x"},
		{Op: OpFilesystem, FD: -1, Path: "/proc", Flags: NoSymlinks, Attr: 14, Data: []string{"proc", "hidepid=2"}},
		{Op: OpExec, FD: -1, Data: []string{"sh", "-c", ""}, Env: []string{"A=b", "C="}, Blob: Strings([]string{"/bin/sh"})},
		{Op: OpCapabilities, FD: -1, Blob: Numbers(1, 1<<40, ^uint64(0))},
	}
}

func TestPlanArrivesAsItWasSent(t *testing.T) {
	b := Encode(nil, steps())
	defer runtime.KeepAlive(b)
	m := sys.NewMemory(len(b))
	got, ok := decode(b, &m)
	if !ok {
		t.Fatal("decode refused what Encode made")
	}
	want := steps()
	for i := range want {
		g, w := got[i], want[i]
		if len(g.Data) == 0 && len(w.Data) == 0 {
			g.Data, w.Data = nil, nil
		}
		if len(g.Env) == 0 && len(w.Env) == 0 {
			g.Env, w.Env = nil, nil
		}
		if len(g.Blob) == 0 && len(w.Blob) == 0 {
			g.Blob, w.Blob = nil, nil
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("step %d: got %+v, want %+v", i, g, w)
		}
	}
}

func TestCutPlanIsRefused(t *testing.T) {
	whole := Encode(nil, steps())
	m := sys.NewMemory(len(whole))
	for n := range len(whole) {
		if _, ok := decode(whole[:n], &m); ok {
			t.Fatalf("the first %d of %d bytes pass for a plan", n, len(whole))
		}
	}
	if _, ok := decode(append(whole, 0), &m); ok {
		t.Error("a byte too many passes for a plan")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(nil, steps()))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := sys.NewMemory(4*len(b) + 1)
		defer m.Free()
		got, ok := decode(b, &m)
		if !ok {
			return
		}
		if again := Encode(nil, got); string(again) != string(b) {
			t.Errorf("%q decodes to %+v, which encodes to %q", b, got, again)
		}
	})
}

func TestSplit(t *testing.T) {
	for path, want := range map[string][2]string{
		"/a/b": {"/a/", "b"}, "/a": {"/", "a"}, "a": {"/", "a"}, "/a/b//": {"/a/", "b"}, "/": {"/", ""}, "": {"/", ""},
	} {
		if parent, name := split(path); parent != want[0] || name != want[1] {
			t.Errorf("split(%q) = %q, %q; want %q", path, parent, name, want)
		}
	}
}

func TestNumberTakesOnlyADescriptor(t *testing.T) {
	for s, want := range map[string]int{"3": 3, "1048575": 1048575} {
		if n, ok := number(s); !ok || n != want {
			t.Errorf("number(%q) = %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "-1", "3x", " 3", "99999999999999999999"} {
		if n, ok := number(s); ok {
			t.Errorf("number(%q) = %d", s, n)
		}
	}
}
