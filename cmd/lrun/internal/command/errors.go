package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// Exit makes the process end with code after err is shown. A nil err shows nothing: the container's own exit code,
// or a command that has said already what went wrong.
func Exit(code int, err error) error { return exitError{code: code, err: err} }

// Code is the exit code that err asks for, otherwise when it asks for none; nil is 0.
func Code(err error, otherwise int) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	return otherwise
}

// plainError is shown as it stands.
type plainError struct{ text string }

func (e plainError) Error() string { return e.text }

// Plain is an error that is shown without the program's name in front: a sentence of Docker's that scripts look for.
func Plain(text string) error { return plainError{text} }

// signalError is why a context was cancelled.
type signalError struct{ signal os.Signal }

func (e signalError) Error() string { return "stopped by signal: " + e.signal.String() }

// code is the exit code of a process that the signal ended.
func (e signalError) code() int {
	if s, ok := e.signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return 1
}

// Report shows err on w: one line for each of the errors joined in it, each led by prefix. What could steer a
// terminal is shown escaped; names in errors may come from an image.
func Report(w io.Writer, prefix string, err error) {
	for _, e := range parts(err) {
		lead := prefix + ": "
		if _, plain := errors.AsType[plainError](e); plain {
			lead = ""
		}
		for line := range strings.SplitSeq(strings.TrimRight(e.Error(), "\n"), "\n") {
			_, _ = fmt.Fprintln(w, lead+format.Visible(line)) // nowhere is left to report to
		}
	}
}

// parts are the errors that were joined into err, at any depth; without those that show nothing.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if e, ok := err.(exitError); ok { //nolint:errorlint // one layer is taken off at a time
		return parts(e.err)
	}
	join, ok := err.(interface{ Unwrap() []error })
	if !ok || !isJoin(err, join.Unwrap()) {
		return []error{err}
	}
	var all []error
	for _, e := range join.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}

// isJoin tells errors.Join from an error that wraps several ones in a sentence of its own.
func isJoin(err error, wrapped []error) bool {
	lines := make([]string, len(wrapped))
	for i, e := range wrapped {
		lines[i] = e.Error()
	}
	return err.Error() == strings.Join(lines, "\n")
}

// without drops from err, which may be a join, the errors that are target; nil when none is left.
func without(err, target error) error {
	kept := slices.DeleteFunc(parts(err), func(e error) bool { return errors.Is(e, target) })
	if len(kept) == len(parts(err)) {
		return err
	}
	return errors.Join(kept...)
}
