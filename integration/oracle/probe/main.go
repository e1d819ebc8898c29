// Probe is the program that the oracle runs in containers. It prints what a program can see of its surroundings and
// what it may do, a line for each thing: a key, a tab, and a value.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "wait" { // to be shared with, until the input ends
		_, out := os.Stdout.WriteString("1")
		_, in := io.Copy(io.Discard, os.Stdin)
		if errors.Join(in, out) != nil {
			os.Exit(1)
		}
		return
	}
	runtime.LockOSThread() // what a thread does to itself is to stay with it
	r := &report{}
	descriptors(r) // before anything else is opened
	process(r)
	limits(r)
	namespaces(r)
	mounts(r)
	tree(r)
	access(r)
	settings(r)
	cgroups(r)
	devices(r)
	calls(r)
	if err := r.print(); err != nil {
		os.Exit(1)
	}
}

// report is what was found, in order.
type report struct{ lines []string }

// add notes a value; white space in it does not end the line.
func (r *report) add(key, format string, args ...any) {
	value := strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(fmt.Sprintf(format, args...))
	r.lines = append(r.lines, key+"\t"+value)
}

// result notes what a call gave: a number, or the name of its error.
func (r *report) result(key string, value uintptr, err error) {
	if name := errorName(err); name != "" {
		r.add(key, "%s", name)
		return
	}
	r.add(key, "%d", value)
}

func (r *report) print() error {
	out := bufio.NewWriter(os.Stdout)
	for _, line := range append(r.lines, "complete\tyes") {
		if _, err := out.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

// errorName is EPERM and its like, or nothing for none.
func errorName(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) && errno != 0 {
		return unix.ErrnoName(errno)
	}
	if err != nil && !errors.As(err, &errno) {
		return err.Error()
	}
	return ""
}

// content is what a file holds, or the name of the error.
func content(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return errorName(err)
	}
	return strings.TrimSpace(string(text))
}
