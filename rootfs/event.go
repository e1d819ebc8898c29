package rootfs

import "github.com/lrun-dev/lrun/rootfs/chain"

// Event is progress on one layer of one image.
type Event = chain.Event

// State is how far a layer is.
type State = chain.State

// The states of a layer: see chain.State.
const (
	AlreadyExists = chain.AlreadyExists
	Shared        = chain.Shared
	Unpacking     = chain.Unpacking
	Done          = chain.Done
)
