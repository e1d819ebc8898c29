// Package system holds the commands that are about lrun itself: version and info.
package system

import "github.com/lrun-dev/lrun/cmd/lrun/internal/command"

// Group is the table of the commands about lrun itself.
func Group() command.Group {
	return command.Group{
		Name:  "system",
		Usage: "manage lrun",
		Entries: []command.Entry{
			{Top: []string{"info"}, Sub: []string{"info"}, New: infoCommand, ReadOnly: true, Common: true},
			{Top: []string{"version"}, New: versionCommand, ReadOnly: true, Common: true},
		},
	}
}
