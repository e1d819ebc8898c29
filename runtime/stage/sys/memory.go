package sys

import (
	"syscall"
	"unsafe"
)

// Memory is what the Go runtime knows nothing of: no garbage collector looks into it, moves or frees it. It ends with the process,
// or with its execution of another program. Where there is none left the process ends.
type Memory struct{ first, left []byte }

// NewMemory returns memory for n bytes; it grows when they are filled. What is not used costs nothing.
func NewMemory(n int) Memory {
	b := mapped(max(n, 1))
	return Memory{b, b}
}

// Bytes returns n zero bytes, at an address that is a multiple of 8.
func (m *Memory) Bytes(n int) []byte {
	rounded := (n + 7) &^ 7
	if rounded > len(m.left) {
		m.left = mapped(max(rounded, 1<<16))
	}
	b := m.left[:n:n]
	m.left = m.left[rounded:]
	return b
}

// List returns n zero values of T. What they refer to must be in such memory too.
func List[T any](m *Memory, n int) []T {
	var t T
	b := m.Bytes(n * int(unsafe.Sizeof(t)))
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Pointers returns the address of pointers to list as C strings, with a nil at the end.
func (m *Memory) Pointers(list []string) unsafe.Pointer {
	p := List[unsafe.Pointer](m, len(list)+1)
	for i, s := range list {
		b := m.Bytes(len(s) + 1)
		copy(b, s)
		p[i] = unsafe.Pointer(&b[0])
	}
	return unsafe.Pointer(&p[0])
}

func mapped(n int) []byte {
	const noFile = ^uintptr(0)
	at, _, e := syscall.RawSyscall6(syscall.SYS_MMAP, 0, uintptr(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON, noFile, 0)
	if e != 0 {
		Exit(125)
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), n)
}

// Free gives back what m began with, for tests that would fill the machine.
func (m *Memory) Free() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_MUNMAP, uintptr(unsafe.Pointer(unsafe.SliceData(m.first))), uintptr(len(m.first)), 0)
}
