// Package id makes and knows the ids of snapshots, which are names of directories.
package id

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
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

// Check refuses what is no id, and a list that holds anything but ids with one blank between any two; it may be empty.
func Check(id, list string) error {
	if !Is(id) {
		return fmt.Errorf("%q is no id", id)
	}
	for one := range strings.SplitSeq(list, " ") {
		if !Is(one) && list != "" {
			return fmt.Errorf("%q is no id", one)
		}
	}
	return nil
}
