package prune

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/filter"
)

// choice is what the filters let pass: what is old enough and has the right labels.
type choice struct {
	set    filter.Set
	before time.Time // zero: any
}

// parseChoice reads --filter. Only one until makes sense, so two are errdefs.ErrInvalidArgument, as with Docker.
func parseChoice(filters []string, now time.Time) (choice, error) {
	set, err := filter.Parse(filters, "until", "label", "label!")
	c := choice{set: set}
	if err != nil {
		return c, err
	}
	switch values := set.Values("until"); len(values) {
	case 0:
	case 1:
		c.before, err = parseUntil(values[0], now)
	default:
		err = fmt.Errorf("more than one until filter specified: %w", errdefs.ErrInvalidArgument)
	}
	return c, err
}

// passes tells whether something made at created may go. labels is called only if there is a filter about them.
func (c choice) passes(created time.Time, labels func() (map[string]string, error)) (bool, error) {
	if !c.before.IsZero() && created.After(c.before) {
		return false, nil
	}
	if !c.set.Has("label") && !c.set.Has("label!") {
		return true, nil
	}
	have, err := labels()
	return err == nil && c.set.Labels("label", have) && !hasAny(c.set.Values("label!"), have), err
}

// hasAny tells whether labels has one of wanted, NAME or NAME=VALUE.
func hasAny(wanted []string, labels map[string]string) bool {
	return slices.ContainsFunc(wanted, func(label string) bool {
		name, value, hasValue := strings.Cut(label, "=")
		have, ok := labels[name]
		return ok && (!hasValue || have == value)
	})
}

// parseUntil reads a moment as Docker does: a duration before now (10m, 1h30m), a date or a time, here where they name no zone,
// or seconds since 1970.
func parseUntil(value string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(value); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{
		"2006-01-02", "2006-01-02Z07:00", "2006-01-02T15:04", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", time.RFC3339,
	} {
		if t, err := time.ParseInLocation(layout, value, now.Location()); err == nil {
			return t, nil
		}
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err == nil && math.Abs(seconds) < 1<<40 && strings.Trim(value, "-.0123456789") == "" {
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)), nil
	}
	return time.Time{}, fmt.Errorf("parse filter %q: want a duration like 24h, a time like 2026-01-31T14:05:06, or seconds since 1970: %w",
		"until="+value, errdefs.ErrInvalidArgument)
}
