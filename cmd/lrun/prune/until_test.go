package prune

import (
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.FixedZone("CET", 3600))

func TestParseUntil(t *testing.T) {
	tests := []struct{ value, want string }{
		{"24h", "2026-01-30T11:00:00Z"},
		{"1h30m", "2026-01-31T09:30:00Z"},
		{"0s", "2026-01-31T11:00:00Z"},
		{"2026-01-30", "2026-01-29T23:00:00Z"},
		{"2026-01-30Z", "2026-01-30T00:00:00Z"},
		{"2026-01-30T08:15", "2026-01-30T07:15:00Z"},
		{"2026-01-30T08:15:30", "2026-01-30T07:15:30Z"},
		{"2026-01-30T08:15:30.5", "2026-01-30T07:15:30.5Z"},
		{"2026-01-30T08:15:30-02:00", "2026-01-30T10:15:30Z"},
		{"1136073600", "2006-01-01T00:00:00Z"},
		{"1136073600.5", "2006-01-01T00:00:00.5Z"},
		{"", ""},
		{"yesterday", ""},
		{"24", "1970-01-01T00:00:24Z"},
		{"1e9", ""},
		{"NaN", ""},
		{"99999999999999999999", ""},
		{"2026-13-30", ""},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			got, err := parseUntil(tt.value, now)
			if tt.want == "" {
				if !errdefs.IsInvalidArgument(err) {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if err != nil || got.UTC().Format(time.RFC3339Nano) != tt.want {
				t.Errorf("got %v, %v", got.UTC(), err)
			}
		})
	}
}

func FuzzParseUntil(f *testing.F) {
	for _, s := range []string{"24h", "2026-01-30", "1136073600.5", "-1", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseUntil(s, now); err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestChoice(t *testing.T) {
	tests := []struct {
		filters []string
		age     time.Duration
		want    bool
	}{
		{nil, 0, true},
		{[]string{"until=1h"}, time.Minute, false},
		{[]string{"until=1h"}, 2 * time.Hour, true},
		{[]string{"label=a"}, 0, true},
		{[]string{"label=a=2"}, 0, false},
		{[]string{"label!=a"}, 0, false},
		{[]string{"label!=a=2"}, 0, true},
		{[]string{"label!=a=1"}, 0, false},
		{[]string{"label=a", "label!=b"}, 0, true},
		{[]string{"label=a", "until=1h"}, 0, false},
	}
	for _, tt := range tests {
		c, err := parseChoice(tt.filters, now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.passes(now.Add(-tt.age), func() (map[string]string, error) { return map[string]string{"a": "1"}, nil })
		if got != tt.want || err != nil {
			t.Errorf("%v: got %v, %v", tt.filters, got, err)
		}
	}
	for _, filters := range [][]string{{"until=1h", "until=2h"}, {"until=x"}, {"dangling=true"}} {
		if _, err := parseChoice(filters, now); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%v: got %v", filters, err)
		}
	}
}
