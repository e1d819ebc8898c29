package mounts

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/volume"
)

// parseVolume reads the value of -v: DST, SRC:DST or SRC:DST:OPTIONS.
func parseVolume(v string) (spec.Mount, error) {
	parts := strings.Split(v, ":")
	if len(parts) > 3 || parts[0] == "" || len(parts) > 1 && parts[1] == "" {
		return spec.Mount{}, invalid("give DST, SRC:DST or SRC:DST:OPTIONS")
	}
	if len(parts) == 1 {
		return spec.Mount{Type: "volume", Target: parts[0], Anonymous: true}, nil
	}
	m := spec.Mount{Type: "volume", Name: parts[0], Target: parts[1]}
	var err error
	if path := strings.HasPrefix(parts[0], "/") || strings.HasPrefix(parts[0], "."); path {
		m.Type, m.Name, m.New.MakeSource = "bind", "", true
		m.Source, err = filepath.Abs(parts[0])
	} else {
		err = volume.CheckName(m.Name)
	}
	if err == nil && len(parts) == 3 {
		m.Mode = parts[2]
		err = modes(&m)
	}
	return m, err
}

// modes reads the options of -v. Of each kind there is one at most.
func modes(m *spec.Mount) error {
	if m.Mode == "" {
		return nil
	}
	seen := map[string]string{}
	for word := range strings.SplitSeq(m.Mode, ",") {
		kind, err := mode(m, word)
		if err != nil {
			return err
		}
		if before, twice := seen[kind]; twice {
			return invalid("the options %s and %s exclude each other", before, word)
		}
		seen[kind] = word
	}
	return nil
}

// mode sets one option and returns what it is about.
func mode(m *spec.Mount, word string) (kind string, err error) {
	switch word {
	case "ro", "rw":
		m.ReadOnly = word == "ro"
		return "access", nil
	case "rro":
		m.ReadOnly, m.Recursive = true, spec.RecursiveReadOnly
		return "access", nil
	case "z", "Z":
		return "label", checkLabels(word)
	case "consistent", "cached", "delegated": // what is bound is the same directory, so each of them is kept
		return "consistency", nil
	case "nocopy":
		if m.Type != "volume" {
			return "", invalid("option nocopy: it is for volumes; of a directory of the host nothing is copied")
		}
		m.NoCopy = true
		return "copy", nil
	case "private", "rprivate", "shared", "rshared", "slave", "rslave":
		if m.Type != "bind" {
			return "", invalid("option %s: it is for directories of the host; what is mounted in a volume stays there", word)
		}
		m.Propagation = word
		return "propagation", nil
	}
	return "", invalid("there is no option %q, only ro, rw, rro, nocopy, z, Z, [r]private, [r]shared, [r]slave, consistent, cached, delegated", word)
}

// checkLabels refuses z and Z where SELinux is at work. Elsewhere there are no labels to set, so that nothing is left undone.
func checkLabels(word string) error {
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		return unsupported("option %s: lrun sets no SELinux labels; use 'chcon -Rt container_file_t' on the directory", word)
	}
	return nil
}

// parseTmpfs reads the value of --tmpfs, DST or DST:OPTIONS, the options being those of tmpfs(5) and the mount's own.
func parseTmpfs(v string) (spec.Mount, error) {
	target, options, _ := strings.Cut(v, ":")
	m := spec.Mount{Type: "tmpfs", Target: target}
	for option := range strings.SplitSeq(options, ",") {
		name, _, hasValue := strings.Cut(option, "=")
		wantsValue := false
		switch name {
		case "":
			continue
		case "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "dirsync",
			"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime":
		case "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol":
			wantsValue = true
		case "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable":
			return m, unsupported("option %s: a tmpfs is the container's own, and private", name)
		case "remount", "bind", "rbind", "mand", "nomand", "tmpcopyup", "notmpcopyup":
			return m, unsupported("option %s: it is not for a new, empty tmpfs", name)
		default:
			return m, invalid("tmpfs has no option %q", name)
		}
		if hasValue != wantsValue {
			return m, invalid("option %s: %s", name, map[bool]string{true: "give a value, " + name + "=VALUE", false: "it takes no value"}[wantsValue])
		}
		if name == "ro" || name == "rw" {
			m.ReadOnly = name == "ro"
		}
		m.Options = append(m.Options, option)
	}
	return m, nil
}

// sourceExists tells whether the source of a bind is there.
func sourceExists(path string) error {
	if _, err := os.Stat(path); err != nil {
		if os.IsNotExist(err) {
			return &fs.PathError{Op: "find source", Path: path + " (--mount makes none, unless bind-create-src is given; -v does)", Err: fs.ErrNotExist}
		}
		return err
	}
	return nil
}
