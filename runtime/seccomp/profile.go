package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// MaxProfile is the size in bytes above which a profile is refused; Docker's own has 15 kB.
const MaxProfile = 1 << 20

// Load resolves a profile in Docker's JSON format, or in that of linux.seccomp of the OCI configuration, for this host's
// architecture and kernel and for a container whose bounding set is caps (names like CAP_CHOWN). Fields that neither
// format has, and all that Compile and Flags refuse, are errors of the same classes.
func Load(profile []byte, caps []string) (*specs.LinuxSeccomp, error) {
	p, err := load(profile, caps)
	if err == nil {
		_, err = Flags(p)
	}
	if err == nil {
		_, err = Compile(p)
	}
	if err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w", err)
	}
	return p, nil
}

func load(profile []byte, caps []string) (*specs.LinuxSeccomp, error) {
	if err := checkProfile(profile); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	spec := specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	p, err := moby.LoadProfile(string(profile), &spec)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	for i, call := range p.Syscalls {
		if len(call.Names) == 0 {
			return nil, fmt.Errorf("rule %d names no system call: %w", i, errdefs.ErrInvalidArgument)
		}
	}
	return p, nil
}

// checkProfile refuses what Docker's reader would overlook, or fall over: a field that nobody knows would have no effect.
func checkProfile(profile []byte) error {
	if len(profile) > MaxProfile {
		return fmt.Errorf("it has more than %d bytes", MaxProfile)
	}
	d := json.NewDecoder(bytes.NewReader(profile))
	d.DisallowUnknownFields()
	var p moby.Seccomp
	if err := d.Decode(&p); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the profile")
	}
	if p.DefaultAction == "" {
		return errors.New("it has no defaultAction; to have no filter give seccomp=unconfined")
	}
	for i, call := range p.Syscalls {
		if call == nil {
			return fmt.Errorf("rule %d is null", i)
		}
	}
	return nil
}
