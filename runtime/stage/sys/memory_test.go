package sys

import (
	"testing"
	"unsafe"
)

func TestMemory(t *testing.T) {
	m := NewMemory(100)
	defer m.Free()
	var all [][]byte
	for _, n := range []int{0, 1, 7, 8, 9, 40, 4096, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1, 1 << 20, 5} {
		b := m.Bytes(n)
		if len(b) != n || cap(b) != n {
			t.Errorf("Bytes(%d) has %d bytes of %d", n, len(b), cap(b))
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))); at%8 != 0 {
			t.Errorf("Bytes(%d) is at %#x", n, at)
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("Bytes(%d): byte %d is %d", n, i, b[i])
			}
			b[i] = byte(len(all) + 1)
		}
		all = append(all, b)
	}
	for i, b := range all {
		for _, got := range b {
			if got != byte(i+1) {
				t.Fatalf("piece %d was written to by another", i)
			}
		}
	}
}

func TestPointers(t *testing.T) {
	m := NewMemory(0)
	want := []string{"", "a", "eight by", "/proc/self/fd/3"}
	p := m.Pointers(want)
	for i, s := range want {
		at := *(**byte)(unsafe.Add(p, uintptr(i)*unsafe.Sizeof(p)))
		if got := unsafe.String(at, len(s)+1); got != s+"\x00" {
			t.Errorf("%q, want %q and its end", got, s)
		}
	}
	if end := *(*unsafe.Pointer)(unsafe.Add(p, uintptr(len(want))*unsafe.Sizeof(p))); end != nil {
		t.Errorf("the list ends with %p", end)
	}
}

func TestNameThatIsTooLong(t *testing.T) {
	long := make([]byte, 4096)
	for i := range long {
		long[i] = 'x'
	}
	if _, e := Openat2(-100, string(long), OPath, 0); e.Error() != "file name too long" {
		t.Errorf("got %v", e)
	}
}
