// Package each does the same work for many things that a user has named.
package each

import "errors"

// atOnce is how many things are worked on at the same time: enough that what they wait for, the disk's journal, is written
// for several in one go.
const atOnce = 8

// Named finds the thing that each name means, works on several at once, and calls done, in the order of names, for each that went well.
// One that fails does not stop the others. A second name of one thing, which id tells, waits until all others are done, and is looked up
// again: the thing may be gone by then.
func Named[T any](names []string, find func(name string) (thing T, id string, err error), work func(name string, thing T) error, done func(name string) error) error {
	tasks := findAll(names, find)
	begin(names, tasks, work)
	var errs []error
	for i, name := range names {
		t := tasks[i]
		if t.again {
			for _, other := range tasks {
				<-other.ended
			}
			if t.thing, _, t.err = find(name); t.err == nil {
				t.err = work(name, t.thing)
			}
		}
		<-t.ended
		if t.err == nil {
			t.err = done(name)
		}
		errs = append(errs, t.err)
	}
	return errors.Join(errs...)
}

type task[T any] struct {
	thing T
	err   error
	again bool          // another name of the same thing came before
	ended chan struct{} // closed when nobody works on it any more
}

// findAll finds all things before anything is done to one.
func findAll[T any](names []string, find func(string) (T, string, error)) []*task[T] {
	seen := map[string]bool{}
	var tasks []*task[T]
	for _, name := range names {
		t := &task[T]{ended: make(chan struct{})}
		tasks = append(tasks, t)
		var id string
		t.thing, id, t.err = find(name)
		t.again = t.err == nil && seen[id]
		seen[id] = true
	}
	return tasks
}

// begin begins to work on what was found, but not on what is named again.
func begin[T any](names []string, tasks []*task[T], work func(string, T) error) {
	places := make(chan struct{}, atOnce)
	for i, t := range tasks {
		if t.err != nil || t.again {
			close(t.ended)
			continue
		}
		go func() {
			defer close(t.ended)
			places <- struct{}{}
			t.err = work(names[i], t.thing)
			<-places
		}()
	}
}

// Without drops the errors of a class out of those that Named returned.
func Without(err, class error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if errors.Is(err, class) {
			return nil
		}
		return err
	}
	var kept []error
	for _, e := range joined.Unwrap() {
		if !errors.Is(e, class) {
			kept = append(kept, e)
		}
	}
	return errors.Join(kept...)
}
