package overlay

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Renew makes work, a workdir that a volatile mount has used, usable for one more mount: it deletes
// the mark (work/work/incompat/volatile) for which the kernel refuses it. That is safe as long as
// the machine has not crashed since that mount, which the caller has to know. A workdir without the
// mark is left as it is; one with a mark that is not of volatile is an error.
func Renew(work string) error {
	const incompat = "/work/incompat"
	if err := unix.Unlink(work + incompat + "/volatile/dirty"); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "unlink", Path: work + incompat + "/volatile/dirty", Err: err}
	}
	for _, dir := range []string{"/volatile", ""} {
		if err := unix.Rmdir(work + incompat + dir); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.PathError{Op: "rmdir", Path: work + incompat + dir, Err: err}
		}
	}
	return nil
}
