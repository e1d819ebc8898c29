// Package boot tells one boot of the machine from another.
package boot

import (
	"bytes"
	"os"
	"sync"
)

// ID returns what this boot has and no other ever had (random(4), boot_id). It is read once in a process.
func ID() (string, error) { return id() }

var id = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(b)), err
})
