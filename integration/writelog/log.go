// Package writelog reads what the kernel's device dm-log-writes has written down of a disk, and makes the disks that a power loss
// could have left.
package writelog

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Flags of an entry, as Linux has them in drivers/md/dm-log-writes.c.
const (
	Flush   = 1 << 0 // all entries before it are sure to last
	FUA     = 1 << 1 // it is sure to last itself, for it bypassed the cache
	Discard = 1 << 2
	Mark    = 1 << 3
)

const (
	magic   = 0x6a736677736872
	version = 1
	header  = 32 // bytes of an entry before its mark
)

// Entry is one thing that the disk was told. Offsets and lengths are in bytes.
type Entry struct {
	Flags      uint64
	To, Length int64
	From       int64  // where in the log what was written is; a discard and a mark have nothing there
	Mark       string // what somebody wrote into the log, of a mark
}

// Read lists the entries of a log, in the order in which they were sure to last: a write stands before the flush that made it
// so, whatever came between. End is where the last one ends.
func Read(log io.ReaderAt) (entries []Entry, end int64, err error) {
	var super struct {
		Magic, Version, Entries uint64
		Sector                  uint32
	}
	if err := binary.Read(io.NewSectionReader(log, 0, 512), binary.LittleEndian, &super); err != nil {
		return nil, 0, fmt.Errorf("read the first sector: %w", err)
	}
	if super.Magic != magic || super.Version != version || super.Sector != 512 && super.Sector != 4096 {
		return nil, 0, fmt.Errorf("no log of writes: magic %#x, version %d, sectors of %d bytes", super.Magic, super.Version, super.Sector)
	}
	sector := int64(super.Sector)
	end = sector
	head := make([]byte, sector)
	for n := range super.Entries {
		if _, err := log.ReadAt(head, end); err != nil {
			return nil, 0, fmt.Errorf("read entry %d of %d: %w", n, super.Entries, err)
		}
		end += sector
		e, err := parse(head, sector)
		if err != nil {
			return nil, 0, fmt.Errorf("entry %d of %d: %w", n, super.Entries, err)
		}
		e.From = end
		if e.Flags&Discard == 0 {
			end += e.Length
		}
		entries = append(entries, e)
	}
	return entries, end, nil
}

// parse reads the sector that tells of an entry: where it went, how long it is, flags, the length of the mark, the mark.
func parse(head []byte, sector int64) (Entry, error) {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(head[8*i:]) }
	to, length, mark := word(0), word(1), word(3)
	if to > 1<<40 || length > 1<<40 || mark > uint64(sector-header) {
		return Entry{}, fmt.Errorf("%d sectors at %d, with a mark of %d bytes", length, to, mark)
	}
	e := Entry{Flags: word(2), To: int64(to) * sector, Length: int64(length) * sector}
	if e.Flags&Mark != 0 {
		e.Mark = string(head[header : header+mark])
	}
	return e, nil
}
