// Package capability asks which capabilities lrun has to give.
package capability

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Bounding asks which capabilities this process may pass on: of its bounding set those that it has
// itself.
func Bounding() (uint64, error) {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read capabilities: %w", err)
	}
	permitted := uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted)
	var mask uint64
	for capability := range unix.CAP_LAST_CAP + 1 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // a kernel that does not know this one, nor those after it
		}
		if err != nil {
			return 0, fmt.Errorf("read capability %d of the bounding set: %w", capability, err)
		}
		mask |= uint64(has) << capability
	}
	return mask & permitted, nil
}
