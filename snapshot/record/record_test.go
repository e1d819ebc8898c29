package record

import (
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// TestNotOn: a record that was made anew meanwhile says nothing of damage.
func TestNotOn(t *testing.T) {
	r := &Record{Key: "top", Parent: "base", ID: "2", Below: "1"}
	same := *r
	if err := r.NotOn(&same, nil); !errdefs.IsDataLoss(err) {
		t.Errorf("the same record: %v", err)
	}
	if err := r.NotOn(nil, errdefs.ErrNotFound); !errdefs.IsNotFound(err) {
		t.Errorf("it is gone: %v", err)
	}
	for _, now := range []*Record{
		{Key: "top", Parent: "base", ID: "3", Below: "1"},
		{Key: "top", Parent: "base", ID: "2", Below: "0"},
		{Key: "top", Parent: "base", ID: "2", Below: "1", Created: time.Unix(1, 0)},
	} {
		if err := r.NotOn(now, nil); !errdefs.IsConflict(err) {
			t.Errorf("%+v: %v", now, err)
		}
	}
}
