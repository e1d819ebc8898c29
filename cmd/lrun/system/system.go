// Package system holds the commands that are about lrun itself: version, info, the check of the root, what it takes on disk and what can be removed of it.
package system

import (
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
	"github.com/lrun-dev/lrun/cmd/lrun/system/usage"
)

// Group is the table of the commands about lrun itself.
func Group() command.Group {
	return command.Group{
		Name:  "system",
		Usage: "manage lrun",
		Entries: []command.Entry{
			{Sub: []string{"df"}, New: usage.Command, ReadOnly: true},
			{Sub: []string{"drop-blobs"}, New: dropBlobsCommand, Args: command.Arity{Max: -1}},
			{Top: []string{"fsck"}, Sub: []string{"fsck"}, New: fsckCommand, Args: command.Arity{Max: -1}, Fail: 125},
			{Top: []string{"info"}, Sub: []string{"info"}, New: infoCommand, ReadOnly: true, Common: true},
			{Sub: []string{"prune"}, New: prune.System},
			{Top: []string{"version"}, New: versionCommand, ReadOnly: true, Common: true},
		},
	}
}
