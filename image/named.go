package image

import "context"

// Named returns every record that name means: of a repository without tag or digest those of all its tags, as in
// docker save, and else the one that Resolve finds, without its name when it was found by another.
func (s *Store) Named(ctx context.Context, name string) ([]Record, error) {
	records, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	ref, err := ParseReference(name)
	if err == nil && ref == ref.Repository() {
		var tags []Record
		for _, r := range records {
			if !r.Ref.IsZero() && r.Ref.Repository() == ref {
				tags = append(tags, r)
			}
		}
		if len(tags) > 0 {
			return tags, nil
		}
	}
	r, err := s.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	if asked, err := ParseReference(name); err != nil || asked.WithDefaultTag() != r.Ref {
		r.Ref = Reference{}
	}
	return []Record{r}, nil
}
