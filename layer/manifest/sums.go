package manifest

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// Sums holds the sha256 of files that are being made, by inode number: a file may get another name before the manifest
// is written. All files are of one filesystem. It takes about 48 bytes for each. A nil *Sums holds nothing and takes
// nothing in. It is not for several goroutines.
type Sums struct {
	list   []sum
	sorted bool
}

type sum struct {
	inode uint64
	sha   [sha256.Size]byte
	known bool
}

// Set notes the digest of the file inode. The last call for an inode counts, so that its number may be used again.
func (s *Sums) Set(inode uint64, sha [sha256.Size]byte) { s.add(sum{inode, sha, true}) }

// Forget says that inode is, or will be, a file whose digest was not noted.
func (s *Sums) Forget(inode uint64) { s.add(sum{inode: inode}) }

func (s *Sums) add(n sum) {
	if s == nil {
		return
	}
	s.list = append(s.list, n)
	s.sorted = false
}

// of returns the digest of the file inode, if it was noted.
func (s *Sums) of(inode uint64) ([sha256.Size]byte, bool) {
	if s == nil {
		return [sha256.Size]byte{}, false
	}
	if !s.sorted {
		slices.SortStableFunc(s.list, func(a, b sum) int { return cmp.Compare(a.inode, b.inode) })
		s.sorted = true
	}
	// The last of its kind is just before the first with a greater number.
	i, _ := slices.BinarySearchFunc(s.list, inode, func(n sum, want uint64) int {
		if n.inode <= want {
			return -1
		}
		return 1
	})
	if i == 0 || s.list[i-1].inode != inode {
		return [sha256.Size]byte{}, false
	}
	return s.list[i-1].sha, s.list[i-1].known
}
