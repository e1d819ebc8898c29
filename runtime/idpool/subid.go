package idpool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// The pool without an entry of poolUser in /etc/subuid and /etc/subgid: beyond what useradd gives to users (up to 600100000)
// and what systemd gives to its containers (up to 0x6fffffff), below what systemd gives to foreign images (0x7ffe0000) and
// what some programs take for negative numbers.
const (
	defaultPoolStart = 0x70000000
	defaultPoolSize  = 0x7ffe0000 - defaultPoolStart
	poolUser         = "containers"
)

// extent is a run of ids.
type extent struct{ start, size uint64 }

// extents are where ranges are taken from: each holds as many as fit.
type extents []extent

func (p extents) count() uint64 {
	var n uint64
	for _, e := range p {
		n += e.size / Size
	}
	return n
}

// at returns the first id of the range i, which is less than count.
func (p extents) at(i uint64) uint32 {
	for _, e := range p {
		if n := e.size / Size; i >= n {
			i -= n
			continue
		}
		return uint32(e.start + i*Size)
	}
	return 0
}

// idsOf reads what the two files give to poolUser: the ids that are in both, for a container's users and groups have the
// same numbers. Without an entry in either it is the default.
func idsOf(subuid, subgid string) (extents, error) {
	var sides [2]extents
	for i, file := range []string{subuid, subgid} {
		content, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if sides[i], err = parseSubIDs(content, poolUser); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	if len(sides[0])+len(sides[1]) == 0 {
		return extents{{defaultPoolStart, defaultPoolSize}}, nil
	}
	both := intersect(sides[0], sides[1])
	if both.count() == 0 {
		return nil, fmt.Errorf("%s and %s give the user %q no %d ids in common; write the same line into both, such as %[3]s:%[5]d:%[6]d: %[7]w",
			subuid, subgid, poolUser, Size, defaultPoolStart, defaultPoolSize, errdefs.ErrFailedPrecondition)
	}
	return both, nil
}

// parseSubIDs reads the extents of a user in the form of subuid(5): NAME:START:COUNT, one a line.
func parseSubIDs(content []byte, user string) (extents, error) {
	var p extents
	for line := range bytes.Lines(content) {
		text := strings.TrimSpace(string(line))
		name, numbers, found := strings.Cut(text, ":")
		if !found || name != user {
			continue
		}
		first, count, _ := strings.Cut(numbers, ":")
		start, err := strconv.ParseUint(first, 10, 32)
		size, err2 := strconv.ParseUint(count, 10, 32)
		const ids = 1<<32 - 1 // the last number stands for no id
		if err != nil || err2 != nil || start == 0 || start+size > ids {
			return nil, fmt.Errorf("line %q: want NAME:START:COUNT, with numbers above 0 and below 2^32: %w", text, errdefs.ErrInvalidArgument)
		}
		p = append(p, extent{start, size})
	}
	return p, nil
}

// intersect returns what is in both, lowest first, nothing twice.
func intersect(a, b extents) extents {
	var both extents
	for _, x := range a {
		for _, y := range b {
			start, end := max(x.start, y.start), min(x.start+x.size, y.start+y.size)
			if start < end {
				both = append(both, extent{start, end - start})
			}
		}
	}
	slices.SortFunc(both, func(x, y extent) int { return int(int64(x.start) - int64(y.start)) })
	var last uint64
	for i := range both {
		end := both[i].start + both[i].size
		both[i].start = max(both[i].start, last)
		both[i].size = max(end, both[i].start) - both[i].start
		last = max(last, end)
	}
	return both
}
