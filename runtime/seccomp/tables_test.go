package seccomp

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func table(t *testing.T, goarch string, name specs.Arch) map[string]uint32 {
	t.Helper()
	all, err := family(goarch)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]uint32{}
	for _, a := range all {
		last := -1
		for nr, call := range a.calls() {
			if int(nr) <= last {
				t.Errorf("%s: %s has %d after %d", a.name, call, nr, last)
			}
			if last = int(nr); a.name == name {
				numbers[call] = nr
			}
		}
	}
	if len(numbers) < 300 {
		t.Fatalf("%s: %d calls", name, len(numbers))
	}
	return numbers
}

func TestTablesAgainstKernelHeaders(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the headers of x86 are on x86")
	}
	for _, c := range []struct {
		arch specs.Arch
		file string
	}{
		{specs.ArchX86_64, "unistd_64.h"}, {specs.ArchX86, "unistd_32.h"}, {specs.ArchX32, "unistd_x32.h"},
	} {
		t.Run(c.file, func(t *testing.T) {
			text, err := os.ReadFile("/usr/include/x86_64-linux-gnu/asm/" + c.file)
			if err != nil {
				testutil.Missing(t, err)
			}
			ours := table(t, "amd64", c.arch)
			found := regexp.MustCompile(`(?m)^#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ )?(\d+)\)?$`).FindAllSubmatch(text, -1)
			if len(found) < 300 {
				t.Fatalf("%d calls in %s", len(found), c.file)
			}
			newest := uint32(0)
			theirs := map[string]bool{}
			for _, m := range found {
				nr, err := strconv.ParseUint(string(m[2]), 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				theirs[string(m[1])] = true
				if nr < 512 {
					newest = max(newest, uint32(nr))
				}
				if got, ok := ours[string(m[1])]; !ok || got != uint32(nr) {
					t.Errorf("%s is %d, we have %d (%v)", m[1], nr, got, ok)
				}
			}
			for name, nr := range ours {
				if !theirs[name] && nr <= newest && !addedLater(name) {
					t.Errorf("%s %d is not in %s", name, nr, c.file)
				}
			}
		})
	}
}

// addedLater says whether a call got a number in a gap after Debian 12's headers.
func addedLater(name string) bool { return name == "uretprobe" || name == "uprobe" }

func TestTablesHave(t *testing.T) {
	for _, c := range []struct {
		goarch string
		arch   specs.Arch
		name   string
		nr     uint32
	}{
		{"amd64", specs.ArchX86_64, "read", 0},
		{"amd64", specs.ArchX86_64, "openat2", 437},
		{"amd64", specs.ArchX86, "socketcall", 102},
		{"amd64", specs.ArchX86, "clock_gettime64", 403},
		{"amd64", specs.ArchX32, "execve", 520},
		{"amd64", specs.ArchX32, "read", 0},
		{"amd64", specs.ArchX32, "pwritev2", 547},
		{"arm64", specs.ArchAARCH64, "newfstatat", 79},
		{"arm64", specs.ArchAARCH64, "execve", 221},
		{"arm64", specs.ArchAARCH64, "removexattrat", 466},
		{"arm64", specs.ArchARM, "execve", 11},
		{"arm64", specs.ArchARM, "arm_sync_file_range", 341},
		{"arm64", specs.ArchARM, "cacheflush", 0xf0002},
		{"arm64", specs.ArchARM, "get_tls", 0xf0006},
	} {
		if got, ok := table(t, c.goarch, c.arch)[c.name]; !ok || got != c.nr {
			t.Errorf("%s of %s: got %d (%v), want %d", c.name, c.arch, got, ok, c.nr)
		}
	}
	if got := table(t, "amd64", specs.ArchX86_64)["getpid"]; runtime.GOARCH == "amd64" && got != unix.SYS_GETPID {
		t.Errorf("getpid is %d", got)
	}
}

// Every name of Docker's profile that any of our architectures could have is in a table: a gap would refuse a call.
func TestDefaultProfileNamesAreKnown(t *testing.T) {
	known := map[string]bool{"sync_file_range2": true}
	for _, goarch := range []string{"amd64", "arm64"} {
		all, err := family(goarch)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			for _, name := range a.calls() {
				known[name] = true
			}
		}
	}
	for name := range behindI386("socketcall") {
		known[name] = true
	}
	// Of other architectures.
	for _, name := range []string{"riscv_hwprobe", "fstatat64"} {
		known[name] = true
	}
	p, err := Default([]string{"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_TIME", "CAP_SYS_NICE", "CAP_SYS_PTRACE"})
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range p.Syscalls {
		for _, name := range call.Names {
			if !known[name] {
				t.Errorf("%s is in no table", name)
			}
		}
	}
}
