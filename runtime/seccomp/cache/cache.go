// Package cache keeps compiled seccomp filters between starts: compiling Docker's profile takes longer than any other
// step of a start that is not the kernel's.
//
// A filter is valid for one executable of lrun, which has the profile and the compiler, one kernel, and one set of
// capabilities. A file that is damaged, or that somebody else could have written, is no filter: --state may name a
// directory in which others may write.
package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// Filter is what seccomp(2) needs to load a program.
type Filter struct {
	Flags   uint32
	Program []byte // an array of struct sock_filter
}

// File returns the path in dir of the filter of Docker's default profile for a container that keeps these capabilities.
func File(dir string, capabilities []string) (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	var exe unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &exe); err != nil {
		return "", &os.PathError{Op: "stat", Path: "/proc/self/exe", Err: err}
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d %d %d %d %d\n%s", unix.ByteSliceToString(name.Release[:]),
		unix.ByteSliceToString(name.Version[:]), exe.Dev, exe.Ino, exe.Size, exe.Mtim.Nano(), exe.Ctim.Nano(),
		strings.Join(slices.Sorted(slices.Values(capabilities)), " ")))
	return filepath.Join(dir, "seccomp-"+hex.EncodeToString(key[:8])), nil
}

// Read returns the filter in the file, and false when there is none that can be trusted to be what Write wrote.
func Read(file string) (Filter, bool) {
	b, err := readOwn(file)
	if err != nil || len(b) < sha256.Size+4 {
		return Filter{}, false
	}
	sum, rest := b[:sha256.Size], b[sha256.Size:]
	if found := sha256.Sum256(rest); !bytes.Equal(sum, found[:]) {
		return Filter{}, false
	}
	return Filter{Flags: binary.NativeEndian.Uint32(rest), Program: rest[4:]}, true
}

// readOwn reads a file that is this user's, and that nobody else may write.
func readOwn(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: file, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return nil, fs.ErrPermission
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// maxFile is more than the largest program takes: 4096 instructions of 8 bytes.
const maxFile = 64 << 10

// Write keeps f for the next start.
func Write(file string, f Filter) error {
	rest := append(binary.NativeEndian.AppendUint32(nil, f.Flags), f.Program...)
	sum := sha256.Sum256(rest)
	return atomicfile.Write(file, append(sum[:], rest...), 0o600, atomicfile.Volatile)
}
