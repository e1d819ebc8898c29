package runtime

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
)

// IDs returns the ids of all containers, also of those that have no record, not yet or not any more. Some may be there twice.
func (s *Store) IDs() ([]string, error) {
	claimed, err := readNames(filepath.Join(s.state, "active"))
	ids, idsErr := s.ids()
	return append(ids, claimed...), errors.Join(err, idsErr)
}

// Paths returns all that c has in the root, by whatever names.
func (s *Store) Paths(c Container) []string {
	paths := []string{s.Dir(c.ID)}
	if holder, _ := s.holder(c.Name); holder == c.ID {
		paths = append(paths, filepath.Join(s.names(), c.Name))
	}
	if ids := c.Settings.UserNS; ids.Auto {
		paths = append(paths, filepath.Join(s.root, "userns", strconv.FormatUint(uint64(ids.UIDs[0].Host), 10)))
	}
	return paths
}

// TryClaim is Claim that does not wait: errdefs.ErrFailedPrecondition when another process is changing the container id, or runs
// it in the foreground.
func (s *Store) TryClaim(id string) (*Claim, error) {
	for {
		if err := s.touchClaim(id); err != nil {
			return nil, err
		}
		claim, err := s.tryClaim(id)
		if !errors.Is(err, fs.ErrNotExist) {
			return claim, err
		}
	}
}
