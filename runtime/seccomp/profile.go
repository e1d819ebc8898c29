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

// Load resolves a profile in Docker's or Podman's JSON format, or in that of linux.seccomp of the OCI configuration, for this host's
// architecture and kernel and for a container whose bounding set is caps (names like CAP_CHOWN). Fields that no
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
	profile, err := normalize(profile)
	if err != nil {
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

// normalize returns profile in Docker's words. It refuses what Docker's reader would overlook, or fall over: a field that nobody
// knows would have no effect.
func normalize(profile []byte) ([]byte, error) {
	if len(profile) > MaxProfile {
		return nil, fmt.Errorf("it has more than %d bytes", MaxProfile)
	}
	d := json.NewDecoder(bytes.NewReader(profile))
	d.DisallowUnknownFields()
	var p podmanProfile
	if err := d.Decode(&p); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the profile")
	}
	if p.DefaultAction == "" {
		return nil, errors.New("it has no defaultAction; to have no filter give seccomp=unconfined")
	}
	return p.docker()
}
