package record

import (
	"iter"
	"slices"
	"strings"

	"github.com/lrun-dev/lrun/snapshot/key"
)

// Relink changes Below in those of all records, by their keys, that do not name what is below them, and returns these, parents
// first. One whose parent is not among all stays as it is.
func Relink(all map[key.Text]*Record) (changed []*Record) {
	done := map[key.Text]bool{}
	for _, r := range all {
		var path []*Record // from r down to what was looked at already
		for ; r != nil && !done[r.Key]; r = all[r.Parent] {
			done[r.Key] = true
			path = append(path, r)
		}
		for _, r := range slices.Backward(path) {
			parent := all[r.Parent]
			if r.Parent != "" && parent == nil || r.On(parent) {
				continue
			}
			r.Below = parent.Under()
			changed = append(changed, r)
		}
	}
	return changed
}

// Needed tells that one of records stands on the bytes id, whether the record between them is there or not.
func Needed(records iter.Seq[*Record], id string) bool {
	for r := range records {
		if strings.Contains(r.Below, id) {
			return true
		}
	}
	return false
}
