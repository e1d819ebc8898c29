package seccomp

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Compile returns the program of p for this host.
func Compile(p *specs.LinuxSeccomp) ([]Instruction, error) {
	return nil, fmt.Errorf("compile seccomp profile: %w", errdefs.ErrNotImplemented)
}
