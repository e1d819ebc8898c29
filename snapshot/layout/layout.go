// Package layout makes the directories of a store of snapshots.
package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

const (
	records = "records"
	data    = "data"
	staging = "staging"
)

// Lost says that a store holds bytes of snapshots and no directory of records: to whoever deletes what no record names, all
// of them would be leftovers. It is an errdefs.ErrFailedPrecondition.
type Lost struct {
	Records string // the directory that is missing
	Data    string // the directory that is not empty
}

// Problem says what is wrong with Records.
func (l *Lost) Problem() string {
	return fmt.Sprintf("the directory is missing, while %q is not empty: nobody knows which of the layers and containers there are needed", l.Data)
}

// Remedy says what to do.
func (l *Lost) Remedy() string {
	return fmt.Sprintf("restore it from a backup; or, if they are not wanted, remove %q by hand and load the images again", l.Data)
}

func (l *Lost) Error() string {
	return fmt.Sprintf("%q: %s; nothing is deleted: %s; lrun fsck tells more", l.Records, l.Problem(), l.Remedy())
}

// Unwrap returns the class of the error.
func (l *Lost) Unwrap() error { return errdefs.ErrFailedPrecondition }

// Make makes those of the directories in dir that are missing, durably if sync is. Where the one of the records is missing
// and the one of the bytes is not empty it makes none, and returns a *Lost. When all are there it costs a look at each.
func Make(dir string, sync atomicfile.Sync) error {
	if err := Check(dir); err != nil {
		return err
	}
	for _, sub := range []string{records, data, staging} { // the records first: bytes without them are lost, not new
		if err := atomicfile.MakeDir(filepath.Join(dir, sub), 0o700, sync); err != nil {
			return err
		}
	}
	return nil
}

// Check returns the *Lost that Make would, and makes nothing. A store that is not there has lost nothing.
func Check(dir string) error {
	l := &Lost{Records: filepath.Join(dir, records), Data: filepath.Join(dir, data)}
	if exists(l.Records) {
		return nil
	}
	entries, err := os.ReadDir(l.Data)
	// Another process may have made both meanwhile: so a second look.
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 || exists(l.Records) {
		return nil
	}
	if err != nil {
		return err
	}
	return l
}

// exists tells whether path is there, or may be.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
