package userns_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/launch/userns"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestMap(t *testing.T) {
	testutil.RequireRoot(t)
	c := exec.Command("sh", "-c", "tr -s ' ' </proc/self/uid_map; id -u; grep CapEff /proc/self/status")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	userns.Map(c.SysProcAttr, spec.SameIDs(spec.IDRange{Host: 1_900_000_000, Size: 1000}, spec.IDRange{Container: 5000, Host: 1_900_005_000, Size: 7}))
	out, err := c.CombinedOutput()
	if want := " 0 1900000000 1000\n 5000 1900005000 7\n0\n"; err != nil || !strings.HasPrefix(string(out), want) || strings.Contains(string(out), "0000000000000000") {
		t.Errorf("got %q, %v", out, err)
	}
	attr := &syscall.SysProcAttr{}
	if userns.Map(attr, spec.UserNamespace{}); attr.Credential != nil || attr.UidMappings != nil {
		t.Errorf("on the host: %+v", attr)
	}
}

func TestExplain(t *testing.T) {
	mapped := &syscall.SysProcAttr{Credential: &syscall.Credential{}}
	for err, want := range map[error]string{unix.EACCES: "chmod 755", unix.ENOSPC: "max_user_namespaces", unix.EUSERS: "max_user_namespaces", unix.ENOMEM: "cannot allocate"} {
		if got := userns.Explain(mapped, err); !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v: got %v", err, got)
		}
		if got := userns.Explain(&syscall.SysProcAttr{}, err); got != err { //nolint:errorlint // the very same
			t.Errorf("on the host: %v", got)
		}
	}
}

func TestExplainNoRoomForProcesses(t *testing.T) {
	for _, attr := range []*syscall.SysProcAttr{{}, {Credential: &syscall.Credential{}}} {
		if got := userns.Explain(attr, unix.EAGAIN); !errors.Is(got, unix.EAGAIN) || !strings.Contains(got.Error(), "pids.max") {
			t.Errorf("got %v", got)
		}
	}
}

func TestRaiseLimits(t *testing.T) {
	var old, now unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_CORE, nil, &old); err != nil {
		t.Fatal(err)
	}
	lower := []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 0, Hard: 1}, {Type: "RLIMIT_OF_SOMEBODY_ELSE", Hard: 1}}
	if err := errors.Join(userns.RaiseLimits(os.Getpid(), lower), unix.Prlimit(0, unix.RLIMIT_CORE, nil, &now)); err != nil || now != old {
		t.Errorf("%v became %v, %v", old, now, err)
	}
	if err := userns.RaiseLimits(1<<30, lower); !errors.Is(err, unix.ESRCH) {
		t.Errorf("got %v", err)
	}
}
