package failure_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/launch/failure"
	"github.com/lrun-dev/lrun/runtime/stage"
)

func TestWords(t *testing.T) {
	for want, c := range map[string]struct {
		step  stage.Step
		errno syscall.Errno
	}{
		"set the limit RLIMIT_NOFILE: operation not permitted: that is above the hard limit of lrun": {stage.Step{Op: stage.OpLimit, Path: "RLIMIT_NOFILE"}, unix.EPERM},
		"set the limit RLIMIT_NOFILE: invalid argument":                                              {stage.Step{Op: stage.OpLimit, Path: "RLIMIT_NOFILE"}, unix.EINVAL},
		`set sysctl net/x to "1": no such file or directory: there is none`:                          {stage.Step{Op: stage.OpAttribute, Path: "net/x", Data: []string{"/proc/sys/net/x"}, Blob: []byte("1")}, unix.ENOENT},
		"make the device /x inside the container: file exists: the container has":                    {stage.Step{Op: stage.OpDevice, Path: "/x"}, unix.EEXIST},
		"mask /proc/keys: no such device: it is covered by":                                          {stage.Step{Op: stage.OpMask, Path: "/proc/keys"}, unix.ENODEV},
		"mount on /dev inside the container: too many levels of symbolic links: the image has a symbolic link there": {
			stage.Step{Op: stage.OpAttach, Path: "/dev", Flags: stage.NoSymlinks}, unix.ELOOP,
		},
		"mount proc on /proc inside the container: operation not permitted: in a user namespace": {
			stage.Step{Op: stage.OpFilesystem, Path: "/proc", Data: []string{"proc"}}, unix.EPERM,
		},
		"mount on /bin inside the container: invalid argument: a directory cannot": {stage.Step{Op: stage.OpAttach, Path: "/bin"}, unix.EINVAL},
		"mount tmpfs on /t inside the container":                                   {stage.Step{Op: stage.OpFilesystem, Path: "/t", Data: []string{"tmpfs"}}, unix.EPERM},
		"become user 5, group 6":                                                   {stage.Step{Op: stage.OpUser, Flags: 5, Attr: 6}, unix.EINVAL},
		`take the SELinux context "a:b:c"`:                                         {stage.Step{Op: stage.OpAttribute, Path: "a:b:c", Data: []string{failure.Label}}, unix.EINVAL},
		`take the AppArmor profile "x"`:                                            {stage.Step{Op: stage.OpAttribute, Path: "x", Data: []string{"/proc/thread-self/attr/apparmor/exec", failure.Label}}, unix.EACCES},
		`take the AppArmor profile "y" inside the container: no such file or directory: the kernel has no profile`: {
			stage.Step{Op: stage.OpAttribute, Path: "y", Data: []string{"/a", "/b"}}, unix.ENOENT,
		},
		"load the seccomp filter": {stage.Step{Op: stage.OpSeccomp}, unix.EINVAL},
	} {
		err := failure.Of(c.step, &stage.Failure{Errno: c.errno})
		if !errors.Is(err, c.errno) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if err := failure.Of(stage.Step{Op: stage.OpMask, Path: "/a"}, &stage.Failure{Errno: unix.EIO, Detail: "/b"}); !strings.HasPrefix(err.Error(), "mask /a (/b): ") {
		t.Error(err)
	}
}

// Every operation has words of its own.
func TestEveryStepIsNamed(t *testing.T) {
	for op := stage.OpJoin; op < stage.OpExec; op++ {
		err := failure.Of(stage.Step{Op: op, Data: []string{"x"}}, &stage.Failure{Errno: unix.EPERM})
		if strings.Contains(err.Error(), "do step") {
			t.Errorf("%d: %v", op, err)
		}
	}
}
