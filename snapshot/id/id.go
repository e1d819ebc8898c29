// Package id makes and knows the ids of snapshots, which are names of directories.
package id

import (
	"crypto/rand"
	"encoding/hex"
)

// Len is the length of an id: 64 random bits in hex.
const Len = 16

// New returns an id that nothing ever had.
func New() string {
	var b [Len / 2]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

// Is reports whether s has the form of an id.
func Is(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == Len
}
