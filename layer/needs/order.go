package needs

import "slices"

// InAnyOrder makes links, of which one may wait for another. do tries to make one and reports whether it did; if not,
// it may say for which name it waits, and is not called again before that was made. stuck is the error for the first that
// was never made. However the links wait for each other, do is called twice for each where it always knows the name.
func InAnyOrder[L any](links []L, name func(L) string, do func(L) (made bool, on string, err error), stuck func(L) error) error {
	o := order[L]{links: links, name: name, do: do, waiting: map[string][]int{}}
	todo := make([]int, len(links))
	for i := range links {
		todo[i] = i
	}
	for len(todo) > 0 {
		made, err := o.pass(todo)
		if err != nil {
			return err
		}
		todo = o.rest()
		if len(todo) > 0 && !made {
			return stuck(links[todo[0]])
		}
	}
	return nil
}

// order is one InAnyOrder. Links are known by their index.
type order[L any] struct {
	links   []L
	name    func(L) string
	do      func(L) (bool, string, error)
	waiting map[string][]int // those that wait for a name
	left    []int            // those that wait for they do not know what
}

// pass tries all of todo once, and those that wait for one of them once it was made.
func (o *order[L]) pass(todo []int) (progress bool, err error) {
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		made, on, err := o.do(o.links[i])
		switch {
		case err != nil:
			return false, err
		case made:
			progress = true
			name := o.name(o.links[i])
			todo = append(todo, o.waiting[name]...)
			delete(o.waiting, name)
		case on != "":
			o.waiting[on] = append(o.waiting[on], i)
		default:
			o.left = append(o.left, i)
		}
	}
	return progress, nil
}

// rest returns all that are not made, in their order, and forgets what they wait for.
func (o *order[L]) rest() []int {
	rest := o.left
	for _, some := range o.waiting {
		rest = append(rest, some...)
	}
	slices.Sort(rest)
	o.left = nil
	clear(o.waiting)
	return rest
}
