package integration

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// listingMain is listing DIR…: it prints the path, type, mode, size and hash of everything below
// directories, without times and lock files.
func listingMain() {
	for _, dir := range os.Args[1:] {
		if err := filepath.WalkDir(dir, lister{os.Stdout}.list); err != nil {
			fmt.Fprintln(os.Stderr, "listing:", err)
			os.Exit(1)
		}
	}
}

// powersMain is powers: it prints who it is and what it may do after its execution.
func powersMain() {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, "powers:", err)
		os.Exit(1)
	}
	fmt.Printf("uid %d euid %d egid %d\n", os.Getuid(), os.Geteuid(), os.Getegid())
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff") {
			fmt.Print(line)
		}
	}
}

// lister writes a line for each file.
type lister struct{ to io.Writer }

func (l lister) list(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil || d.Name() == "lock" {
		return err
	}
	var sum string
	if info.Mode().IsRegular() {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum = fmt.Sprintf(" %d %x", len(content), sha256.Sum256(content))
	}
	_, err = fmt.Fprintf(l.to, "%s %s%s\n", path, info.Mode(), sum)
	return err
}

// worstMain does to the files of a container what may hurt those of the image, as root, and goes on
// after errors: worst FILE DIR. FILE and DIR are of the image.
func worstMain() {
	file, dir := os.Args[1], os.Args[2]
	report := func(what string, err error) { fmt.Printf("%s: %v\n", what, err) }
	report("mmap", mapAndWrite(file))
	report("append", appendTo(file))
	report("setxattr", unix.Lsetxattr(file, "user.worst", []byte("x"), 0))
	report("trusted", unix.Lsetxattr(file, "trusted.worst", []byte("x"), 0))
	report("opaque", unix.Lsetxattr(dir, "trusted.overlay.opaque", []byte("y"), 0))
	report("capability", unix.Lsetxattr(file, "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	report("link", os.Link(file, file+".link"))
	report("link write", os.WriteFile(file+".link", []byte("through a link"), 0o600))
	report("truncate", os.Truncate(file, 1))
	report("chmod", os.Chmod(file, 0o4777))
	report("chown", os.Lchown(file, 4294967294, 12345))
	report("times", os.Chtimes(file, time.Unix(1, 1), time.Unix(1, 1)))
	report("rename", os.Rename(file, file+".renamed"))
	report("replace", os.WriteFile(file, []byte("new"), 0o644))
	report("exchange", unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, file+".renamed", unix.RENAME_EXCHANGE))
	report("whiteout", unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, file+".moved", unix.RENAME_WHITEOUT))
	report("rename dir", os.Rename(dir, dir+".renamed"))
	report("mknod", unix.Mknod(file+".node", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	report("mknod 0:0", unix.Mknod(file+".zero", unix.S_IFCHR, 0))
	report("fifo", unix.Mkfifo(file+".fifo", 0o666))
	for _, m := range [][3]string{{"tmpfs", "/home", ""}, {"overlay", "/", "lowerdir=/:/bin"}, {"proc", "/proc", ""}} {
		report("mount "+m[0], unix.Mount("none", m[1], m[0], 0, m[2]))
	}
	report("bind", unix.Mount("/", "/tmp", "", unix.MS_BIND|unix.MS_REC, ""))
	report("remount", unix.Mount("", "/", "", unix.MS_REMOUNT, ""))
	report("shared", unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""))
	_, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
	report("open_tree", err)
	for _, entry := range []string{"/proc/1/root/../..", "/proc/self/root/../../.."} {
		names, err := filepath.Glob(entry + "/root/containers/*")
		report("escape "+strings.Join(names, " "), err)
	}
}

func appendTo(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("more")
	return err
}

// mapAndWrite changes a file through shared memory, and through memory mapped before it was copied up.
func mapAndWrite(file string) error {
	early, err := os.Open(file)
	if err != nil {
		return err
	}
	defer early.Close()
	if _, err := unix.Mmap(int(early.Fd()), 0, 1, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return err
	}
	if _, err := unix.Mmap(int(early.Fd()), 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		return fmt.Errorf("a file open for reading was mapped for writing")
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(data, "WORS")
	return unix.Msync(data, unix.MS_SYNC)
}
