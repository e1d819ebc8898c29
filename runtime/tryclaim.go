package runtime

import (
	"errors"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/flock"
)

// IDs returns the ids of all containers, also of those that have no record, not yet or not any more. Some may be there twice.
func (s *Store) IDs() ([]string, error) {
	claimed, err := readNames(filepath.Join(s.state, "active"))
	ids, idsErr := s.ids()
	return append(ids, claimed...), errors.Join(err, idsErr)
}

// TryClaim is Claim that does not wait: errdefs.ErrFailedPrecondition when another process is changing the container id, or runs
// it in the foreground.
func (s *Store) TryClaim(id string) (*Claim, error) {
	return s.claim(id, flock.ExclusiveNow)
}
