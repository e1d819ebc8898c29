package apparmor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// patience is how long the loading of a profile may take, on a slow machine too.
const patience = time.Minute

// load loads Default, or replaces it. It is called for a container, whose start fails when the kernel refuses the profile;
// a missing program is errdefs.ErrNotFound.
func (h Host) load() error {
	program, err := h.parser()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	c := exec.Command(program, "--replace", "--skip-cache", "--quiet")
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(profile), &said, &said
	if err = c.Start(); err == nil {
		limit := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
		err = c.Wait()
		limit.Stop()
	}
	if err != nil {
		return fmt.Errorf("load the AppArmor profile %s; without one: --security-opt apparmor=%s: %s: %w: %s", Default, Unconfined, program, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// parser finds the program in PATH or where it usually is, which is not in every root's PATH.
func (h Host) parser() (string, error) {
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		path, err := exec.LookPath(filepath.Join(dir, h.Parser))
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("load the AppArmor profile %s: there is no program %s: %w", Default, h.Parser, errdefs.ErrNotFound)
}

// profile is the text of Default. What capabilities, the filter, namespaces, masks and read-only mounts keep from a container
// it keeps from it once more, and from one that was given too many of these.
const profile = `
profile ` + Default + ` flags=(attach_disconnected,mediate_deleted) {
  capability,
  file,
  network,
  umount,

  # Its own processes are its to signal and to trace; anybody who may can signal them.
  signal (receive),
  signal (send) peer=` + Default + `,
  ptrace peer=` + Default + `,

  # Nothing is mounted, whatever capabilities there are.
  deny mount,

  # What is the machine's in /proc: all but the processes and the settings of the container's own namespaces.
  deny /proc/{kcore,kmem,mem,sysrq-trigger} rwklx,
  deny /proc/[^0-9]* w,
  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi,tty}/** w,
  deny /proc/sys/[^fkn]*/** w,
  deny /proc/sys/fs/[^m]** w,
  deny /proc/sys/fs/mount-max w,
  deny /proc/sys/kernel/{[^dhms]**,d[^o]**,h[^o]**,hot**,m[^s]**,s[^eh]**,sec**} w,

  # And in /sys: all but the container's cgroups, of which nobody sets what the host executes.
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/fs/cgroup/{,**/}release_agent w,
  deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** rwklx,
}
`
