// Package boot tells one boot of the machine from another.
package boot

import (
	"bytes"
	"os"
)

// ID returns what this boot has and no other ever had (random(4), boot_id).
func ID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(b)), err
}
