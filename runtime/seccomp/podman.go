package seccomp

import (
	"encoding/json"
	"fmt"
	"syscall"

	moby "github.com/moby/profiles/seccomp"
	"golang.org/x/sys/unix"
)

// podmanProfile is a profile with what Podman has beside Docker's fields (containers/common, pkg/seccomp): error numbers by name.
type podmanProfile struct {
	moby.Seccomp

	DefaultErrno string           `json:"defaultErrno"`
	Syscalls     []*podmanSyscall `json:"syscalls"`
}

type podmanSyscall struct {
	moby.Syscall

	Errno string `json:"errno"`
}

// docker returns the profile in Docker's words.
func (p *podmanProfile) docker() ([]byte, error) {
	err := number(p.DefaultErrno, &p.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("defaultErrno: %w", err)
	}
	for i, call := range p.Syscalls {
		if call == nil {
			return nil, fmt.Errorf("rule %d is null", i)
		}
		if err := number(call.Errno, &call.ErrnoRet); err != nil {
			return nil, fmt.Errorf("rule %d: errno: %w", i, err)
		}
		p.Seccomp.Syscalls = append(p.Seccomp.Syscalls, &call.Syscall)
	}
	return json.Marshal(p.Seccomp)
}

// number sets ret to the error number that name means, unless there is no name. They must not contradict each other.
func number(name string, ret **uint) error {
	if name == "" {
		return nil
	}
	for n := range syscall.Errno(maxErrno) {
		if unix.ErrnoName(n) != name {
			continue
		}
		value := uint(n)
		if *ret != nil && **ret != value {
			return fmt.Errorf("%s is %d, and the errnoRet beside it %d", name, value, **ret)
		}
		*ret = &value
		return nil
	}
	return fmt.Errorf("no error is called %q", name)
}
