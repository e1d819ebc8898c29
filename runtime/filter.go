package runtime

import (
	"fmt"

	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/seccomp"
	"github.com/lrun-dev/lrun/runtime/seccomp/cache"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// prepareFilter makes what keeps the container from system calls: for the built-in runtime the filter, which for the
// default profile is found in the state directory after the first start, and for others the profile.
func (p *Pending) prepareFilter(c Container) error {
	kept, err := spec.Capabilities(c.Settings, p.bounding)
	if err != nil {
		return err
	}
	if own := c.Settings.Security.Seccomp; own != "" {
		if p.profile, err = seccomp.Load([]byte(own), kept); err == nil && p.child != nil {
			err = p.compile()
		}
		return err
	}
	if p.child == nil {
		p.profile, err = seccomp.Default(kept)
		return err
	}
	file, err := cache.File(p.store.state, kept)
	if err != nil {
		return err
	}
	if f, ok := cache.Read(file); ok {
		p.filter = launch.Filter{Program: f.Program, Flags: f.Flags}
		return nil
	}
	if p.profile, err = seccomp.Default(kept); err != nil {
		return err
	}
	if err := p.compile(); err != nil {
		return err
	}
	_ = cache.Write(file, cache.Filter{Program: p.filter.Program, Flags: p.filter.Flags}) // only the next start is slower
	return nil
}

// compile makes the filter of the profile.
func (p *Pending) compile() (err error) {
	if p.filter.Flags, err = seccomp.Flags(p.profile); err != nil {
		return err
	}
	program, err := seccomp.Compile(p.profile)
	if err != nil {
		return fmt.Errorf("compile the seccomp profile: %w", err)
	}
	p.filter.Program = seccomp.Bytes(program)
	trace.Step("filter compiled")
	return nil
}
