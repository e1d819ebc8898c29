package list

import (
	"time"

	"github.com/lrun-dev/lrun/runtime"
)

// Description is a container in the words of the list.
type Description struct{ ID, Image, Command, CreatedAt, RunningFor, State, Status, Names string }

// Describe says of a container in the state st what the list shows.
func Describe(now time.Time, c runtime.Container, st runtime.State) Description {
	r := (&options{}).row(now, listed{c, st})
	return Description{
		ID: r.ID, Image: r.Image, Command: r.Command, CreatedAt: r.CreatedAt, RunningFor: r.RunningFor,
		State: r.State, Status: r.Status, Names: r.Names,
	}
}
