package layer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/pack"
)

// TreeDigest digests the tree in the directory dir, itself included: names, types, modes, owners, modification times,
// all xattrs, device numbers, targets of symbolic links, which names are one file, and bytes. Two trees have the same
// digest exactly if none of these differs. It reads every byte; sizes on disk, inode numbers and other times do not
// count.
func TreeDigest(ctx context.Context, dir string) (digest.Digest, error) {
	root, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	t := &treeDigester{sum: sha256.New(), names: pack.FirstNames{}}
	if err := pack.Walk(ctx, int(root.Fd()), t.add); err != nil {
		return "", fmt.Errorf("digest tree %q: %w", dir, err)
	}
	return digest.NewDigest(digest.SHA256, t.sum), nil
}

type treeDigester struct {
	sum   hash.Hash
	names pack.FirstNames
}

// add writes one file. Every field is a number of fixed size or has its length before it, so that no two trees can
// be written alike.
func (t *treeDigester) add(f pack.File) error {
	t.text(f.Path)
	first := t.names.Of(f)
	t.text(first)
	if first != "" {
		return nil
	}
	s := &f.Stat
	t.numbers(uint64(s.Mode), uint64(s.Uid), uint64(s.Gid), uint64(s.Mtim.Sec), uint64(s.Mtim.Nsec))
	xattrs, err := f.Xattrs()
	if err != nil {
		return err
	}
	t.numbers(uint64(len(xattrs)))
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		t.text(name)
		t.text(xattrs[name])
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return t.content(f)
	case unix.S_IFLNK:
		target, err := inode.Readlink(f.Dir, f.Base)
		t.text(target)
		return f.Wrap("read link", err)
	case unix.S_IFCHR, unix.S_IFBLK:
		t.numbers(s.Rdev)
	}
	return nil
}

func (t *treeDigester) content(f pack.File) error {
	file, err := f.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	content := sha256.New()
	if _, err := io.Copy(content, file); err != nil {
		return f.Wrap("read", err)
	}
	t.text(string(content.Sum(nil)))
	return nil
}

func (t *treeDigester) text(s string) {
	t.numbers(uint64(len(s)))
	t.sum.Write([]byte(s))
}

func (t *treeDigester) numbers(values ...uint64) {
	for _, v := range values {
		t.sum.Write(binary.BigEndian.AppendUint64(nil, v))
	}
}
