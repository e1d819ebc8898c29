package runtime

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// boundingSet reads which capabilities this process may pass on: the bounding set that it was given,
// and of those what it has itself.
func boundingSet() (uint64, error) {
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return 0, err
	}
	mask := ^uint64(0)
	for _, key := range [...]string{"CapPrm:\t", "CapBnd:\t"} {
		_, rest, found := bytes.Cut(b, []byte(key))
		if !found || len(rest) < 16 {
			return 0, fmt.Errorf("read capabilities: no line %q in /proc/thread-self/status", key)
		}
		bits, err := strconv.ParseUint(string(rest[:16]), 16, 64)
		if err != nil {
			return 0, fmt.Errorf("read capabilities: %w", err)
		}
		mask &= bits
	}
	return mask, nil
}
