package mount

import (
	"fmt"
	"strings"
)

// Error is a failed system call on a mount with all that it was given. Err is the errno, together
// with the kernel's own explanation where it gave one.
type Error struct {
	// Op is the system call and what it was to do, such as "fsconfig create".
	Op string
	// Type, Source, Target are those of the mount; Target is empty for one that is not attached.
	Type, Source, Target string
	// Data is the options in the form of mount(8), with directories by name.
	Data string
	// Flags are those of the system call.
	Flags uintptr
	// Err is the cause.
	Err error
}

// shownData is how much of Data a message shows: 500 layers would fill a screen.
const shownData = 400

// Error names the operation, then only those of its arguments that are not empty.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	for _, arg := range []struct{ name, value string }{{"type", e.Type}, {"source", e.Source}, {"target", e.Target}} {
		if arg.value != "" {
			fmt.Fprintf(&b, " %s %q", arg.name, arg.value)
		}
	}
	if e.Flags != 0 {
		fmt.Fprintf(&b, " flags %#x", e.Flags)
	}
	if len(e.Data) > shownData {
		fmt.Fprintf(&b, " data %q and %d bytes more", e.Data[:shownData], len(e.Data)-shownData)
	} else if e.Data != "" {
		fmt.Fprintf(&b, " data %q", e.Data)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fail is the Error of one operation on m.
func (m Mount) fail(op string, flags uintptr, err error) error {
	return &Error{Op: op, Type: m.Type, Source: m.Source, Data: m.data(), Flags: flags, Err: err}
}

// data writes the options as mount(8) would, for people: nothing is escaped.
func (m Mount) data() string {
	var words []string
	for _, o := range m.Options {
		switch {
		case o.Dirs != nil:
			words = append(words, o.Key+"="+strings.Join(o.Dirs, ":"))
		case o.Value != "":
			words = append(words, o.Key+"="+o.Value)
		default:
			words = append(words, o.Key)
		}
	}
	return strings.Join(words, ",")
}
