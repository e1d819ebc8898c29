// Package readahead reads many things on all cores, and hands them out in order.
package readahead

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// crew is how many goroutines read at most: each may have files open.
const crew = 8

// Each calls read with each number from 0 to n-1, batch of them one after the other on one core while other cores have the
// next, and yields in the order of the numbers what it returns. What is not more than a batch costs no other goroutine.
// Nothing runs any longer when the loop over it ends, also before all was yielded.
func Each[T any](n, batch int, read func(int) (T, error)) iter.Seq2[T, error] {
	batches := (n + batch - 1) / batch
	workers := min(batches, runtime.GOMAXPROCS(0), crew)
	if workers < 2 {
		return func(yield func(T, error) bool) {
			for i := 0; i < n && yield(read(i)); i++ {
			}
		}
	}
	return func(yield func(T, error) bool) {
		a := &ahead[T]{read: read, batch: batch, found: make([]T, n), errs: make([]error, n), done: make([]chan struct{}, batches)}
		for b := range a.done {
			a.done[b] = make(chan struct{})
		}
		var all sync.WaitGroup
		defer all.Wait()
		defer a.next.Store(int64(batches)) // nobody begins another
		for range workers {
			all.Go(a.work)
		}
		for i := range n {
			if i%batch == 0 {
				<-a.done[i/batch]
			}
			if !yield(a.found[i], a.errs[i]) {
				return
			}
			clear(a.found[i : i+1]) // for the garbage collection
		}
	}
}

// ahead is what several goroutines read.
type ahead[T any] struct {
	read  func(int) (T, error)
	batch int
	next  atomic.Int64 // the batch that nobody has begun
	found []T
	errs  []error
	done  []chan struct{} // of each batch, closed when it is read
}

// work reads batches until there are no more.
func (a *ahead[T]) work() {
	for {
		b := int(a.next.Add(1)) - 1
		if b >= len(a.done) {
			return
		}
		for i := b * a.batch; i < min(len(a.found), (b+1)*a.batch); i++ {
			a.found[i], a.errs[i] = a.read(i)
		}
		close(a.done[b])
	}
}
