package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
)

// machine is how a program for amd64 or i386 makes a system call.
type machine struct {
	elf32       bool
	call        string   // the instruction
	arguments   []string // the instructions that load the first five, each before its 4 bytes
	bit         uint32   // added to the number of each call
	write, exit uint32
	tried       [][]uint32 // numbers and arguments of the calls to be made
}

const (
	machineBase = 0x400000
	machineSize = 0x1000
	resultsAt   = machineBase + 0x800
)

// machines are the ways into the kernel: each program asks for its pid, then for what no container may have: a
// keyring's number, a mount, a user namespace, a key, a BPF map, the kernel's log.
func machines() map[string]machine {
	old := [][]uint32{{20}, {288, 0, 0xfffffffd}, {21, 0, resultsAt, 0, 0, 0}, {310, 0x10000000}, {286, resultsAt}, {357}, {103, 3}}
	long := [][]uint32{{39}, {250, 0, 0xfffffffd}, {165, 0, resultsAt, 0, 0, 0}, {272, 0x10000000}, {248, resultsAt}, {321}, {103, 3}}
	int80 := machine{
		call: "\xcd\x80", arguments: []string{"\xbb", "\xb9", "\xba", "\xbe", "\xbf"}, write: 4, exit: 1, tried: old,
	}
	i386 := int80
	i386.elf32 = true
	amd64 := machine{
		call: "\x0f\x05", arguments: []string{"\xbf", "\xbe", "\xba", "\x41\xba", "\x41\xb8"}, write: 1, exit: 60, tried: long,
	}
	x32 := amd64
	x32.bit = 0x40000000
	return map[string]machine{"i386": i386, "int80": int80, "amd64": amd64, "x32": x32}
}

// attackMachine is the host's half: machine KIND FILE writes a program that makes the calls of one kind of machine and
// prints what each returned, as 32-bit numbers.
func attackMachine(args []string) error {
	m, ok := machines()[args[0]]
	if !ok {
		return fmt.Errorf("no machine %q", args[0])
	}
	return os.WriteFile(args[1], m.program(), 0o755)
}

// program is a file of one segment, readable, writable and executable.
func (m machine) program() []byte {
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v) // to memory, of fixed size
		}
	}
	if m.elf32 {
		b.WriteString("\x7fELF\x01\x01\x01" + string(make([]byte, 9)))
		put(uint16(2), uint16(3), uint32(1), uint32(machineBase+52+32), uint32(52), uint32(0), uint32(0))
		put(uint16(52), uint16(32), uint16(1), uint16(40), uint16(0), uint16(0))
		put(uint32(1), uint32(0), uint32(machineBase), uint32(machineBase), uint32(machineSize), uint32(machineSize), uint32(7), uint32(machineSize))
	} else {
		b.WriteString("\x7fELF\x02\x01\x01" + string(make([]byte, 9)))
		put(uint16(2), uint16(62), uint32(1), uint64(machineBase+64+56), uint64(64), uint64(0), uint32(0))
		put(uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0))
		put(uint32(1), uint32(7), uint64(0), uint64(machineBase), uint64(machineBase), uint64(machineSize), uint64(machineSize), uint64(machineSize))
	}
	call := func(number uint32, args ...uint32) {
		for i, arg := range args {
			b.WriteString(m.arguments[i])
			put(arg)
		}
		b.WriteString("\xb8")
		put(number)
		b.WriteString(m.call)
	}
	for i, c := range m.tried {
		call(c[0]|m.bit, c[1:]...)
		if m.elf32 {
			b.WriteString("\xa3")
		} else {
			b.WriteString("\x89\x04\x25")
		}
		put(uint32(resultsAt + 4*i))
	}
	call(m.write, 1, resultsAt, uint32(4*len(m.tried)))
	call(m.exit, 0)
	b.Write(make([]byte, machineSize-b.Len()))
	return b.Bytes()
}
