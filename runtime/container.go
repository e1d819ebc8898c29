// Package runtime keeps containers: their records on disk, their state, which is never believed
// without asking the kernel, and their life from create to rm. It receives mounts and knows no images.
package runtime

import (
	"time"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Container is what does not change over a container's life: its config.json.
type Container struct {
	ID      string    `json:"id"` // 64 hexadecimal digits
	Name    string    `json:"name"`
	Created time.Time `json:"created"`

	Image   string `json:"image"`   // as the user named it
	ImageID string `json:"imageID"` // digest of the image's config
	Driver  string `json:"driver"`  // snapshot driver that has its root

	// RootDir is a directory of the host that its root is made of, in place of an image; RootWrite writes through to it.
	RootDir   string `json:"rootDir,omitempty"`
	RootWrite bool   `json:"rootWrite,omitempty"`

	// Remove is --rm: the container goes when its program ends.
	Remove bool `json:"remove,omitempty"`
	// Interactive is -i: its standard input is open.
	Interactive bool `json:"interactive,omitempty"`
	// Network is the mode: none or host.
	Network string `json:"network"`
	// Runtime is the external runtime that runs it; empty: the built-in one.
	Runtime string `json:"runtime,omitempty"`

	// Entrypoint is how many of Settings.Args are the entrypoint; the rest is the command.
	Entrypoint int `json:"entrypoint,omitempty"`

	Labels   map[string]string `json:"labels,omitempty"`
	Settings spec.Settings     `json:"settings"`
}

// Status is where a container is in its life, in Docker's words.
type Status string

// The states: created → running → exited, and from there running again.
const (
	Created Status = "created"
	Running Status = "running"
	Exited  Status = "exited"
)

// State is what changes: a container's state.json. A Running in it is true only while the process
// that it names lives (Store.State asks).
type State struct {
	Status     Status    `json:"status"`
	Pid        int       `json:"pid,omitempty"`      // in the host's pid namespace
	PidStart   uint64    `json:"pidStart,omitempty"` // field 22 of /proc/PID/stat: a pid alone may be reused
	LrunPid    int       `json:"lrunPid,omitempty"`  // the lrun that runs it: the process's parent as long as that lives
	BootID     string    `json:"bootID,omitempty"`   // start times count from boot
	PidNS      uint64    `json:"pidNS,omitempty"`    // the inode of the pid namespace in which these numbers are; 0: not known
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	ExitCode   int       `json:"exitCode"`
	OOMKilled  bool      `json:"oomKilled,omitempty"`
	Error      string    `json:"error,omitempty"` // why the last start failed, or why the exit code is not the program's
}

// lostExitCode is reported for a program whose end nobody saw: its lrun was killed, and it with it.
const lostExitCode = 137
