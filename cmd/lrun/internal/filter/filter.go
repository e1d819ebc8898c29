// Package filter reads --filter key=value, given several times, and decides what passes, as Docker does: values
// of one key are alternatives, except of label, all of which must match; different keys must all match.
package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Set is what was asked for: the values of each key in their order. The zero value lets everything pass.
type Set struct{ values map[string][]string }

// Parse reads filters of the form key=value. A text of another form, or a key that is not among valid, is
// errdefs.ErrInvalidArgument; the message names the valid keys.
func Parse(filters []string, valid ...string) (Set, error) {
	s := Set{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok {
			return Set{}, invalid("parse filter %q: want key=value", f)
		}
		if !slices.Contains(valid, key) {
			names := slices.Sorted(slices.Values(valid))
			return Set{}, invalid("parse filter %q: there is no filter %q, only %s", f, key, strings.Join(names, ", "))
		}
		if s.values == nil {
			s.values = map[string][]string{}
		}
		s.values[key] = append(s.values[key], strings.TrimSpace(value))
	}
	return s, nil
}

// Has tells whether key was given.
func (s Set) Has(key string) bool { return len(s.values[key]) > 0 }

// Values are the values that were given for key, none when it was not.
func (s Set) Values(key string) []string { return s.values[key] }

// Any tells whether one of the values of key fits; it does when the key was not given.
func (s Set) Any(key string, fits func(value string) bool) bool {
	return !s.Has(key) || slices.ContainsFunc(s.values[key], fits)
}

// Bool is the value of a key that is true or false (also 1, 0, t, f), and whether it was given. Any other value,
// or both at once, is errdefs.ErrInvalidArgument.
func (s Set) Bool(key string) (value, given bool, err error) {
	for i, v := range s.values[key] {
		b, err := strconv.ParseBool(v)
		if err != nil || i > 0 && b != value {
			return false, true, invalid("parse filter %q: want either true or false", key+"="+v)
		}
		value, given = b, true
	}
	return value, given, nil
}

// Labels tells whether labels has every label that was given under key, as name or as name=value.
func (s Set) Labels(key string, labels map[string]string) bool {
	for _, want := range s.values[key] {
		name, value, hasValue := strings.Cut(want, "=")
		have, ok := labels[name]
		if !ok || hasValue && have != value {
			return false
		}
	}
	return true
}

func invalid(text string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(text, args...))
}
