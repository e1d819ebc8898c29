package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// subject is the name of the command in each group that the others are compared with.
const subject = "lrun"

// A command is one command of a section. In its words {i} is a number that no other run has, and {n} counts its copies.
type command struct {
	Group     string   `json:"group"` // the work that it does
	Name      string   `json:"name"`  // the tool that does it
	Argv      []string `json:"argv"`
	Before    string   `json:"before,omitempty"`    // shell command that is not timed
	After     string   `json:"after,omitempty"`     // shell command that is not timed
	Namespace string   `json:"namespace,omitempty"` // file of the mount namespace to run it in
	Sync      string   `json:"sync,omitempty"`      // directory whose file system is synced after it, timed apart
	Copies    int      `json:"copies,omitempty"`    // how many are started at once; 0 is 1
}

// A target bounds the median of lrun in a group: Factor × the median of the command Ref in RefGroup + Add.
type target struct {
	Group    string  `json:"group"`
	Metric   string  `json:"metric"` // wall, cpu or memory
	Factor   float64 `json:"factor"`
	RefGroup string  `json:"ref_group"`
	Ref      string  `json:"ref"` // "": Add is the bound
	Add      float64 `json:"add"`
}

// section is what is measured together.
type section struct {
	Commands []command
	Targets  []target
}

// readSection reads lines that are {"command": {…}} or {"target": {…}}.
func readSection(in io.Reader) (section, error) {
	var s section
	dec := json.NewDecoder(in)
	dec.DisallowUnknownFields()
	for {
		var line struct {
			Command *command `json:"command"`
			Target  *target  `json:"target"`
		}
		err := dec.Decode(&line)
		if errors.Is(err, io.EOF) {
			return s, s.check()
		}
		if err != nil {
			return s, fmt.Errorf("read section: %w", err)
		}
		switch {
		case line.Command != nil && line.Target == nil:
			s.Commands = append(s.Commands, *line.Command)
		case line.Target != nil && line.Command == nil:
			s.Targets = append(s.Targets, *line.Target)
		default:
			return s, errors.New("read section: a line is either a command or a target")
		}
	}
}

func (s section) check() error {
	known := map[[2]string]bool{}
	for _, c := range s.Commands {
		key := [2]string{c.Group, c.Name}
		if known[key] {
			return fmt.Errorf("read section: %s of %q is there twice", c.Name, c.Group)
		}
		known[key] = true
		if len(c.Argv) == 0 || !filepath.IsAbs(c.Argv[0]) {
			return fmt.Errorf("read section: %s of %q has no absolute path to run: %q", c.Name, c.Group, c.Argv)
		}
	}
	for _, t := range s.Targets {
		if t.Metric != wall && t.Metric != cpu && t.Metric != memory {
			return fmt.Errorf("read section: target for %q", t.Metric)
		}
		if !known[[2]string{t.Group, subject}] || t.Ref != "" && !known[[2]string{t.RefGroup, t.Ref}] {
			return fmt.Errorf("read section: target of %q for a command that is not measured", t.Group)
		}
	}
	if len(s.Commands) == 0 {
		return errors.New("read section: no command")
	}
	return nil
}

// argvs returns the words of each copy in the run with that number.
func (c command) argvs(run int) [][]string {
	all := make([][]string, max(1, c.Copies))
	for n := range all {
		r := strings.NewReplacer("{i}", strconv.Itoa(run), "{n}", strconv.Itoa(n))
		for _, word := range c.Argv {
			all[n] = append(all[n], r.Replace(word))
		}
	}
	return all
}

// shell returns the words that run a command line in the run with that number.
func shell(line string, run int) [][]string {
	return [][]string{{"/bin/sh", "-c", strings.ReplaceAll(line, "{i}", strconv.Itoa(run))}}
}
