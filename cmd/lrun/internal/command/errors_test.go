package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestReport(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"one", one, "lrun: one\n"},
		{"joined", errors.Join(one, two), "lrun: one\nlrun: two\n"},
		{"joined twice", errors.Join(errors.Join(one, two), one), "lrun: one\nlrun: two\nlrun: one\n"},
		{"joined with a code", Exit(2, errors.Join(one, Exit(3, nil), two)), "lrun: one\nlrun: two\n"},
		{"joined inside", fmt.Errorf("remove: %w", errors.Join(one, two)), "lrun: remove: one\nlrun: two\n"},
		{"two wrapped in one sentence", fmt.Errorf("%w: %w", one, two), "lrun: one: two\n"},
		{"plain", Plain("Error: No such object: x"), "Error: No such object: x\n"},
		{"plain among others", errors.Join(one, Plain("Error: p")), "lrun: one\nError: p\n"},
		{"nothing to show", Exit(2, nil), ""},
		{"nil", nil, ""},
		{"terminal control", errors.New("open \x1b]0;evil\x07: \xff"), "lrun: open \\x1b]0;evil\\a: \\xff\n"},
		{"newline at the end", Plain("one\n"), "one\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			Report(&b, "lrun", tt.err)
			if b.String() != tt.want {
				t.Errorf("got %q, want %q", &b, tt.want)
			}
		})
	}
}

func TestCode(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nil", nil, 0},
		{"any", errors.New("x"), 125},
		{"exit", Exit(3, nil), 3},
		{"wrapped", fmt.Errorf("x: %w", Exit(3, errors.New("y"))), 3},
		{"joined", errors.Join(errors.New("x"), Exit(3, nil)), 3},
	}
	for _, tt := range tests {
		if got := Code(tt.err, 125); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWithout(t *testing.T) {
	x, gone := errors.New("x"), fmt.Errorf("write: %w", context.Canceled)
	if got := without(gone, context.Canceled); got != nil {
		t.Errorf("got %v", got)
	}
	if got := without(errors.Join(gone, x), context.Canceled); !errors.Is(got, x) || errors.Is(got, context.Canceled) {
		t.Errorf("got %v", got)
	}
	if got := without(x, context.Canceled); got != x { //nolint:errorlint // the same value
		t.Errorf("got %v", got)
	}
	if got := without(nil, context.Canceled); got != nil {
		t.Errorf("got %v", got)
	}
	if got := without(Exit(4, nil), context.Canceled); Code(got, 1) != 4 {
		t.Errorf("the exit code is lost: %v", got)
	}
}
