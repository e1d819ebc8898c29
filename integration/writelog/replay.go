package writelog

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// block is what a disk writes as a whole or not at all, here: as much as the file systems take for one.
const block = 4096

// Replay makes disks out of the entries of a log.
type Replay struct {
	Log     io.ReaderAt
	Entries []Entry
	Disk    *os.File // begins empty, and has after Flushed what was flushed

	next int // the first entry that Disk does not have
}

// Flushed brings the disk to the last flush among the first n entries: it has all that came before, and nothing that came later.
// It goes forward only.
func (r *Replay) Flushed(n int) error {
	last := r.next
	for i := r.next; i < n; i++ {
		if r.Entries[i].Flags&Flush != 0 {
			last = i + 1
		}
	}
	for ; r.next < last; r.next++ {
		e := r.Entries[r.next]
		if err := r.put(r.Disk, e, 0, e.Length); err != nil {
			return err
		}
	}
	return nil
}

// Unflushed writes to a copy of the disk what else is on it when the power goes after n entries: what bypassed the cache, and of
// the other entries those blocks for which keep returns true. It is asked for each of them in order.
func (r *Replay) Unflushed(disk *os.File, n int, keep func(entry int) bool) error {
	for i := r.next; i < n; i++ {
		e := r.Entries[i]
		for done := int64(0); done < e.Length; {
			size := min(block-(e.To+done)%block, e.Length-done)
			if e.Flags&FUA != 0 || keep(i) {
				if err := r.put(disk, e, done, size); err != nil {
					return err
				}
			}
			done += size
		}
	}
	return nil
}

// put does to a disk what a part of an entry says.
func (r *Replay) put(disk *os.File, e Entry, skip, size int64) error {
	if e.Flags&Discard != 0 && size > 0 {
		return os.NewSyscallError("fallocate", unix.Fallocate(int(disk.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, e.To+skip, size))
	}
	n, err := io.Copy(io.NewOffsetWriter(disk, e.To+skip), io.NewSectionReader(r.Log, e.From+skip, size))
	if err == nil && n != size {
		err = fmt.Errorf("the log ends within an entry: %w", io.ErrUnexpectedEOF)
	}
	return err
}
