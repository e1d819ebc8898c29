// Package selinux chooses the contexts of a container's processes and files where the kernel has SELinux. Giving them to
// processes and mounts is the start's, or the external runtime's.
package selinux

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Host is where a machine tells about SELinux: what is mounted at /sys, and its root directory.
type Host struct{ Sys, Root string }

// This returns the machine that lrun runs on.
func This() Host { return Host{Sys: "/sys", Root: "/"} }

// Enabled says whether the kernel has SELinux, it is on, and a policy can be loaded.
func (h Host) Enabled() bool {
	_, err := os.Stat(filepath.Join(h.Sys, "fs/selinux/enforce"))
	return err == nil
}

// Labels are contexts, each USER:ROLE:TYPE:LEVEL.
type Labels struct {
	Process string `json:"process,omitempty"`
	Mount   string `json:"mount,omitempty"` // of all files of the root and of what is mounted for the container
}

// The parts of a context, in its order.
const (
	user = iota
	role
	kind
	level
	parts
)

// Kinds are what options begin with: each changes that part of the process's context, filetype the type of files.
func Kinds() []string { return []string{"user", "role", "type", "level", "filetype"} }

// Choose returns the policy's contexts for containers, changed by options of the form KIND:VALUE. Without a level of its own
// a container gets one with two random categories, so that others cannot reach its files. Where SELinux is not on, and where
// the policy has nothing for containers, the error is errdefs.ErrNotImplemented; an option that is none, or makes a
// context that the policy does not know, is errdefs.ErrInvalidArgument.
func (h Host) Choose(options []string) (Labels, error) {
	if !h.Enabled() {
		return Labels{}, fmt.Errorf("SELinux is not on here (there is no %s/fs/selinux/enforce); leave label= out: %w", h.Sys, errdefs.ErrNotImplemented)
	}
	process, file, err := h.contexts()
	if err != nil {
		return Labels{}, err
	}
	levelled := false
	for _, option := range options {
		key, value, _ := strings.Cut(option, ":")
		if value == "" || strings.ContainsAny(value, " \t\n\x00\"") {
			return Labels{}, fmt.Errorf("label=%s: give %s and what it is: %w", option, strings.Join(Kinds(), ":, ")+":", errdefs.ErrInvalidArgument)
		}
		switch key {
		case "user":
			process[user], file[user] = value, value
		case "role":
			process[role] = value
		case "type":
			process[kind] = value
		case "level":
			process[level], file[level], levelled = value, value, true
		case "filetype":
			file[kind] = value
		default:
			return Labels{}, fmt.Errorf("label=%s: there is no %q; give disable, %s: %w", option, key, strings.Join(Kinds(), ":, ")+":", errdefs.ErrInvalidArgument)
		}
	}
	if !levelled && process[level] != "" {
		process[level] = withCategories(process[level])
		file[level] = process[level]
	}
	l := Labels{Process: process.String(), Mount: file.String()}
	return l, errors.Join(h.check(l.Process), h.check(l.Mount))
}

// withCategories adds two of the 1,024 categories to a level that has none.
func withCategories(level string) string {
	if strings.Contains(level, ":") {
		return level
	}
	a, b := rand.IntN(1023), rand.IntN(1023)
	if b >= a {
		b++
	}
	return fmt.Sprintf("%s:c%d,c%d", level, min(a, b), max(a, b))
}

// check asks the kernel whether its policy knows a context.
func (h Host) check(label string) error {
	err := os.WriteFile(filepath.Join(h.Sys, "fs/selinux/context"), []byte(label), 0)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("the policy of SELinux knows no context %s: %w", label, errdefs.ErrInvalidArgument)
	}
	return err
}

// context is one that is taken apart; one without a level has an empty one.
type context [parts]string

// String is the form that the kernel takes.
func (c context) String() string {
	return strings.TrimSuffix(strings.Join(c[:], ":"), ":")
}

func parse(text string) (context, bool) {
	var c context
	n := copy(c[:], strings.SplitN(text, ":", parts))
	return c, n >= level && c[user] != "" && c[role] != "" && c[kind] != ""
}

// contexts returns what the policy has for containers.
func (h Host) contexts() (process, file context, err error) {
	for _, name := range h.files() {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return process, file, err
		}
		values := settings(string(text))
		var ok, also bool
		process, ok = parse(values["process"])
		if file, also = parse(values["file"]); !ok || !also {
			return process, file, fmt.Errorf("read %s: it says no context of a process and of a file: %w", name, errdefs.ErrDataLoss)
		}
		return process, file, nil
	}
	return process, file, fmt.Errorf("the policy of SELinux says nothing of containers (%s); install the package container-selinux, or leave label= out: %w",
		strings.Join(h.files(), ", "), errdefs.ErrNotImplemented)
}

// files are where a policy says which contexts containers have, the first that is there counts.
func (h Host) files() []string {
	list := []string{filepath.Join(h.Root, "usr/share/containers/selinux/contexts")}
	config, err := os.ReadFile(filepath.Join(h.Root, "etc/selinux/config"))
	if policy := filepath.Base(settings(string(config))["SELINUXTYPE"]); err == nil && policy != "." {
		list = append(list, filepath.Join(h.Root, "etc/selinux", policy, "contexts/lxc_contexts"))
	}
	return list
}

// settings reads lines of the form NAME = VALUE, the value perhaps in quotes.
func settings(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); found && !strings.HasPrefix(name, "#") {
			values[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return values
}
