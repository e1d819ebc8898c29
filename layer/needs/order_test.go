package needs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
)

func TestInAnyOrder(t *testing.T) {
	after := map[string]string{"a": "b", "b": "c", "c": "", "d": "nowhere", "e": "f", "f": "e"}
	broken := errors.New("broken")
	for _, tt := range []struct {
		links []string
		made  []string
		err   error
	}{
		{nil, nil, nil},
		{[]string{"a", "b", "c"}, []string{"c", "b", "a"}, nil},
		{[]string{"c", "a", "b"}, []string{"c", "b", "a"}, nil},
		{[]string{"c", "d"}, []string{"c"}, errdefs.ErrInvalidArgument},
		{[]string{"a", "e", "b", "f", "c"}, []string{"c", "b", "a"}, errdefs.ErrInvalidArgument},
		{[]string{"c", "x", "b"}, []string{"c"}, broken},
	} {
		for _, knows := range []bool{true, false} {
			var made []string
			err := InAnyOrder(tt.links, func(l string) string { return l }, func(l string) (bool, string, error) {
				switch {
				case l == "x":
					return false, "", broken
				case after[l] == "" || slices.Contains(made, after[l]):
					made = append(made, l)
					return true, "", nil
				case knows:
					return false, after[l], nil
				}
				return false, "", nil
			}, func(l string) error { return NoTarget(l, after[l]) })
			if !errors.Is(err, tt.err) || !slices.Equal(made, tt.made) {
				t.Errorf("%v, knows %v: made %v, %v", tt.links, knows, made, err)
			}
		}
	}
}

// The error is of the first link that was not made, whatever it waits for.
func TestInAnyOrderStuck(t *testing.T) {
	stuck := func(l int) error { return NoTarget(fmt.Sprint(l), "") }
	err := InAnyOrder([]int{7, 1, 2, 3}, func(l int) string { return fmt.Sprint(l) }, func(l int) (bool, string, error) {
		return l == 7, map[int]string{1: "2", 2: "1"}[l], nil
	}, stuck)
	if err == nil || err.Error() != stuck(1).Error() {
		t.Errorf("got %v", err)
	}
}

// However links wait for each other, each is tried twice at most.
func TestInAnyOrderWork(t *testing.T) {
	const n = 5000
	random := rand.New(rand.NewPCG(1, 2)).Perm(n)
	backwards := make([]int, n)
	for i := range backwards {
		backwards[i] = n - 1 - i
	}
	for name, links := range map[string][]int{"backwards": backwards, "random": random} {
		calls, made := 0, make([]bool, n)
		err := InAnyOrder(links, func(l int) string { return fmt.Sprint(l) }, func(l int) (bool, string, error) {
			calls++
			if l > 0 && !made[l-1] {
				return false, fmt.Sprint(l - 1), nil
			}
			made[l] = true
			return true, "", nil
		}, func(l int) error { return NoTarget(fmt.Sprint(l), "") })
		if err != nil || slices.Contains(made, false) || calls > 2*n {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
	}
}
