package stage

import "unsafe"

// bare is where a program begins that was linked with the entry symbol entry of this package and executed as Name. There is no Go
// runtime: no memory but a sys.Memory, no scheduler, no panic, no other package. stack is what the kernel has put there: the number
// of arguments, the arguments, nil, the environment, nil. When it returns the runtime begins as in any other program.
//
//nolint:unused // entry_amd64.s calls it
func bare(stack *uintptr) {
	var value, since string
	var ok, traced bool
	for p := unsafe.Add(unsafe.Pointer(stack), unsafe.Sizeof(*stack)*(*stack+2)); ; p = unsafe.Add(p, unsafe.Sizeof(*stack)) {
		variable := *(**byte)(p)
		if variable == nil {
			break
		}
		name, content, _ := cut(text(variable), '=')
		switch name {
		case Variable:
			value, ok = content, true
		case TraceVariable:
			since, traced = content, true
		}
	}
	if ok {
		begin(value, newTracer(since, traced))
	}
}

// text is a C string.
//
//nolint:unused // bare calls it
func text(b *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(b), n)) != 0 {
		n++
	}
	return unsafe.String(b, n)
}
