// Package name knows which names containers may have, and finds new ones.
package name

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"strings"

	"github.com/containerd/errdefs"
)

// Check refuses what Docker refuses as a container's name: it begins with a letter or a digit,
// then follow letters, digits, '_', '.' and '-', two characters at least.
func Check(name string) error {
	valid := len(name) >= 2 && len(name) <= 255
	for i, r := range name {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("_.-", r)) {
			valid = false
		}
	}
	if !valid {
		return fmt.Errorf("container name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed: %w", name, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Random returns a name of two words that is not taken.
func Random(taken func(name string) bool) string {
	left := strings.Fields("amber bold brave bright calm clear cosy crisp eager early fair fine fleet fond fresh gentle glad golden grand green happy hardy honest jolly keen kind late light lively lucky mellow merry mild neat noble patient plain proud quick quiet rapid rare ready round sharp silent simple sleek smooth solid spry steady still strong sunny swift tidy vivid warm wise witty young")
	right := strings.Fields("acorn anchor aspen badger beacon birch bison brook canyon cedar cliff comet coral crane creek dune eagle ember falcon fern finch fjord forest fox garnet glacier grove harbor hawk hazel heron island ivy jay juniper lagoon lake lark lynx maple marsh meadow meteor moss oak orchid otter owl pebble pine plover quartz quill raven reef ridge river robin sparrow spruce stone swan thicket tiger trout valley willow wren")
	for {
		name := left[mathrand.IntN(len(left))] + "_" + right[mathrand.IntN(len(right))]
		if !taken(name) {
			return name
		}
		if suffixed := name + "_" + suffix(); mathrand.IntN(8) == 0 {
			return suffixed
		}
	}
}

func suffix() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b[:])
}

// IsID tells whether id can be a container's: 64 hexadecimal digits.
func IsID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }
