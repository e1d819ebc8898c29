package readahead

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// onCores lets the test have as many cores, whatever the machine has.
func onCores(t *testing.T, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestEach(t *testing.T) {
	odd := errors.New("odd")
	for _, cores := range []int{1, 2, 8} {
		for _, c := range []struct{ n, batch int }{{0, 1}, {1, 1}, {2, 1}, {5, 5}, {5, 2}, {6, 2}, {64, 7}, {1000, 32}} {
			t.Run(fmt.Sprintf("%d by %d on %d", c.n, c.batch, cores), func(t *testing.T) {
				onCores(t, cores)
				var calls atomic.Int64
				read := func(i int) (int, error) {
					calls.Add(1)
					if i%2 == 1 {
						return i * 10, odd
					}
					return i * 10, nil
				}
				i := 0
				for v, err := range Each(c.n, c.batch, read) {
					if v != i*10 || (err != nil) != (i%2 == 1) {
						t.Fatalf("at %d: got %d, %v", i, v, err)
					}
					i++
				}
				if i != c.n || calls.Load() != int64(c.n) {
					t.Errorf("%d of %d came, of %d calls", i, c.n, calls.Load())
				}
			})
		}
	}
}

// TestEachAtOnce would hang if the second batch waited for the first.
func TestEachAtOnce(t *testing.T) {
	onCores(t, 2)
	begun := make(chan struct{})
	for _, err := range Each(2, 1, func(i int) (int, error) {
		if i == 1 {
			close(begun)
		}
		<-begun
		return i, nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestEachIsLeft leaves the loop early: no read is running afterwards, and not all have begun.
func TestEachIsLeft(t *testing.T) {
	const n = 100_000
	for _, cores := range []int{1, 4} {
		onCores(t, cores)
		var running, calls atomic.Int64
		var seen []int
		left := make(chan struct{})
		for v := range Each(n, 10, func(i int) (int, error) {
			running.Add(1)
			defer running.Add(-1)
			calls.Add(1)
			if i >= 10 { // what is ahead is slow
				<-left
				time.Sleep(time.Millisecond)
			}
			return i, nil
		}) {
			if seen = append(seen, v); len(seen) == 3 {
				close(left)
				break
			}
		}
		if !slices.Equal(seen, []int{0, 1, 2}) || running.Load() != 0 || calls.Load() == n {
			t.Errorf("on %d: saw %d, %d are running, after %d calls", cores, seen, running.Load(), calls.Load())
		}
	}
}

// TestEachTwice goes over one sequence two times.
func TestEachTwice(t *testing.T) {
	onCores(t, 2)
	numbers := Each(9, 2, func(i int) (int, error) { return i, nil })
	for range 2 {
		sum := 0
		for v := range numbers {
			sum += v
		}
		if sum != 36 {
			t.Errorf("got %d", sum)
		}
	}
}
