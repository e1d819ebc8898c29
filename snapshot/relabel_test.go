package snapshot

import (
	"errors"
	"maps"
	"testing"

	"github.com/containerd/errdefs"
)

func TestRelabel(t *testing.T) {
	s, d := newStore(t)
	to := func(labels map[string]string) func(map[string]string) map[string]string {
		return func(map[string]string) map[string]string { return labels }
	}
	if _, err := s.Relabel(t.Context(), "k", to(nil)); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := s.Prepare(t.Context(), "k", "", WithLabels(map[string]string{"a": "1"})); err != nil {
		t.Fatal(err)
	}
	before, err := s.Stat(t.Context(), "k")
	if err != nil || before.Updated != before.Created {
		t.Fatalf("new: %+v, %v", before, err)
	}
	d.commit = func(Snapshot) error {
		if _, err := s.Relabel(t.Context(), "k", to(nil)); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("while it is committed: %v", err)
		}
		return nil
	}
	got, err := s.Relabel(t.Context(), "k", func(l map[string]string) map[string]string { l["b"] = "2"; return l })
	if err != nil || !maps.Equal(got.Labels, map[string]string{"a": "1", "b": "2"}) || !got.Updated.After(got.Created) {
		t.Errorf("added: %+v, %v", got, err)
	}
	if _, err := s.Relabel(t.Context(), "k", to(map[string]string{"x": "\xff"})); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("not UTF-8: %v", err)
	}
	if now, err := s.Stat(t.Context(), "k"); err != nil || !maps.Equal(now.Labels, got.Labels) || now.ID != before.ID || now.Updated != got.Updated {
		t.Errorf("read again: %+v, %v", now, err)
	}
	if err := s.Commit(t.Context(), "n", "k"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Relabel(t.Context(), "n", to(nil)); err != nil || len(got.Labels) != 0 || got.Kind != Committed {
		t.Errorf("committed: %+v, %v", got, err)
	}
}
