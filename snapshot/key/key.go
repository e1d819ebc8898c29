// Package key turns keys of snapshots, which are any bytes, into names of files and words in JSON, and back.
package key

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

const (
	// maxKey is the longest key in bytes.
	maxKey = 1024
	// maxEscaped leaves room for the suffix in a name of 255 bytes.
	maxEscaped = 240
	// Suffix ends the file name of every record.
	Suffix = ".json"
)

// Text is a string of any bytes that JSON keeps as they are, and readable when it is plain.
type Text string

// MarshalText escapes the bytes that are not plain.
func (t Text) MarshalText() ([]byte, error) { return []byte(escape(string(t))), nil }

// UnmarshalText undoes MarshalText.
func (t *Text) UnmarshalText(b []byte) error {
	s, err := Unescape(string(b))
	*t = Text(s)
	return err
}

// Check refuses keys that no snapshot can have: an errdefs.ErrInvalidArgument.
func Check(key string) error {
	if key == "" {
		return fmt.Errorf("snapshot key is empty: %w", errdefs.ErrInvalidArgument)
	}
	if len(key) > maxKey {
		return fmt.Errorf("snapshot key %.32q… is %d bytes, the limit is %d: %w", key, len(key), maxKey, errdefs.ErrInvalidArgument)
	}
	return nil
}

// FileName is the name of key's record: the escaped key, or a hash when that is too long for a file
// name. No two keys have the same, and it is never hidden, never a path.
func FileName(key string) string {
	name := escape(key)
	if len(name) > maxEscaped {
		sum := sha256.Sum256([]byte(key))
		name = "#" + hex.EncodeToString(sum[:]) // escape never yields a #
	}
	return name + Suffix
}

// escape writes all but letters, digits and a few signs as %XX, and a dot only where it does not lead.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	if isSimple(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isPlain(c) || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + string(digits[c>>4]) + string(digits[c&15]))
		}
	}
	return b.String()
}

// isSimple reports whether escape leaves s alone.
func isSimple(s string) bool {
	for i := range len(s) {
		if !isPlain(s[i]) && (s[i] != '.' || i == 0) {
			return false
		}
	}
	return true
}

// isPlain reports whether c stands for itself anywhere in a file name.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == ':' || c == '@' || c == '+'
}

// Unescape undoes escape, and refuses what escape does not yield: an errdefs.ErrDataLoss.
func Unescape(s string) (string, error) {
	if isSimple(s) {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+3 > len(s) {
			return "", fmt.Errorf("unescape %q: cut off: %w", s, errdefs.ErrDataLoss)
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("unescape %q: %w: %w", s, errdefs.ErrDataLoss, err)
		}
		b = append(b, c...)
		i += 2
	}
	if escape(string(b)) != s {
		return "", fmt.Errorf("unescape %q: not in the one form: %w", s, errdefs.ErrDataLoss)
	}
	return string(b), nil
}
