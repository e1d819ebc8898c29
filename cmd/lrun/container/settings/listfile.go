package settings

import (
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// environment is what the user sets: the files in their order, then the flags. A name without a value
// takes lrun's own, and is left out where lrun has none.
func environment(o *Options) ([]string, error) {
	var entries []string
	for _, file := range o.envFiles.Value() {
		lines, err := readLines(file)
		if err != nil {
			return nil, err
		}
		entries = append(entries, lines...)
	}
	entries = append(entries, o.env.Value()...)
	var env []string
	for _, entry := range entries {
		name, _, set := strings.Cut(entry, "=")
		if name == "" || strings.ContainsRune(entry, 0) {
			return nil, fmt.Errorf("environment %q: give NAME=VALUE or NAME: %w", entry, errdefs.ErrInvalidArgument)
		}
		if !set {
			value, ok := os.LookupEnv(name)
			if !ok {
				continue
			}
			entry = name + "=" + value
		}
		env = spec.MergeEnv(env, []string{entry})
	}
	return env, nil
}

// labels are the image's, then the files', then the flags'.
func labels(o *Options, ofImage map[string]string) (map[string]string, error) {
	all := maps.Clone(ofImage)
	if all == nil {
		all = map[string]string{}
	}
	var entries []string
	for _, file := range o.labelFiles.Value() {
		lines, err := readLines(file)
		if err != nil {
			return nil, err
		}
		entries = append(entries, lines...)
	}
	for _, entry := range append(entries, o.labels.Value()...) {
		name, value, _ := strings.Cut(entry, "=")
		if name == "" {
			return nil, fmt.Errorf("label %q: give NAME or NAME=VALUE: %w", entry, errdefs.ErrInvalidArgument)
		}
		all[name] = value
	}
	return all, nil
}

// readLines reads a file of settings, one a line; empty lines and those that begin with # are none.
func readLines(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(string(content), "\ufeff")) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if name, _, _ := strings.Cut(line, "="); strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("%s: %q: a name has no space in it: %w", file, line, errdefs.ErrInvalidArgument)
		}
		lines = append(lines, line)
	}
	return lines, nil
}
