package chain

import (
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// State is how far a layer is.
type State int

// The states of a layer. A layer is reported in one of the first, or in Unpacking any number of
// times and then Done; more often when the work has to be done again.
const (
	AlreadyExists State = iota // it was there, unpacked for this driver
	Shared                     // another chain has the same layer: its bytes are shared
	Unpacking                  // Read of Size bytes of its blob are unpacked
	Done                       // it is unpacked and verified, and not yet published
)

// String returns the words for people, such as "Already exists".
func (s State) String() string {
	switch s {
	case AlreadyExists:
		return "Already exists"
	case Shared:
		return "Shared"
	case Unpacking:
		return "Unpacking"
	case Done:
		return "Unpacked"
	default:
		return "Unknown"
	}
}

// Event is progress on one layer of one image.
type Event struct {
	Image    digest.Digest // the image's ID
	Layer    int           // counted from 0, the bottom
	Layers   int           // how many the image has
	Blob     digest.Digest // of the layer as stored
	DiffID   digest.Digest
	State    State
	Read     int64 // bytes of the blob that are read
	Size     int64 // bytes of the blob
	Unpacked int64 // bytes of the layer unpacked; 0 while Unpacking
}

// eventInterval is the shortest time between two events of one layer while it is unpacked.
const eventInterval = 100 * time.Millisecond

// reporter hands events to a callback, one at a time.
type reporter struct {
	mu sync.Mutex
	fn func(Event)
}

func (r *reporter) send(e Event) {
	if r.fn == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fn(e)
}

// watchedReader reports how much of it was read.
type watchedReader struct {
	io.Reader
	reporter *reporter
	event    Event
	last     time.Time
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.event.Read += int64(n)
	if now := time.Now(); now.Sub(w.last) >= eventInterval {
		w.last = now
		w.reporter.send(w.event)
	}
	return n, err
}
