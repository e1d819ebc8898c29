package corpus

import (
	"archive/tar"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

const (
	// capV2 is CAP_NET_RAW… in the form of file capabilities before user namespaces; capV3 ends with the root id 100000.
	capV2 = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	capV3 = "\x01\x00\x00\x03\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\x86\x01\x00"
	// posixACL is u::rw- u:1:rwx g::r-- m::rwx o::---.
	posixACL = "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x07\x00\x01\x00\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"
	// highest is the highest id that a file can have.
	highest = 1<<32 - 2
)

func devices() []Case {
	return []Case{
		accept("device: character, block, FIFO", lines{"b b259:65536 1:2", "c c1:3 0666", "p |"},
			lt.Tar(lt.Char("c", 1, 3, lt.Mode(0o666)), lt.Block("b", 259, 65536, lt.Owner(1, 2)), lt.Fifo("p"))),
		accept("device: highest numbers", lines{"c c4095:1048575"}, lt.Tar(lt.Char("c", 4095, 1<<20-1))),
		accept("device: block 0:0", lines{"b b0:0"}, lt.Tar(lt.Block("b", 0, 0))),
		above("device: over a lower file", lines{"file c1:5"}, lt.Char("file", 1, 3), lt.File("file", ""), lt.Dir("file"), lt.Char("file", 1, 5)),
		refuse("device: number too high", errdefs.ErrInvalidArgument, lt.Tar(lt.Block("b", 1<<12, 1))),
		refuse("device: minor too high", errdefs.ErrInvalidArgument, lt.Tar(lt.Block("b", 1, 1<<20))),
		refuse("device: negative number", errdefs.ErrInvalidArgument, raw(fields{name: "c", typ: '3', magic: magicGNU, patch: map[int]string{atMajor: "\xff\xff\xff\xff\xff\xff\xff\xff"}}, "")),
		refuse("type: of nobody", errdefs.ErrInvalidArgument, raw(fields{name: "z", typ: 'Z'}, "")),
		refuse("type: contiguous", errdefs.ErrInvalidArgument, raw(fields{name: "z", typ: '7'}, "")),
		refuse("type: volume header of GNU", errdefs.ErrInvalidArgument, raw(fields{name: "z", typ: 'V', magic: magicGNU}, "")),
		refuse("type: directory dump of GNU", errdefs.ErrInvalidArgument, raw(fields{name: "z", typ: 'D', magic: magicGNU}, "")),
		refuse("type: rest of another volume", errdefs.ErrInvalidArgument, raw(fields{name: "z", typ: 'M', magic: magicGNU}, "")),
	}
}

// overlayOwn wants to have overlayfs do what no layer may say.
func overlayOwn() []Case {
	invalid := func(name string, entries ...lt.Entry) Case {
		return refuse("overlay: "+name, errdefs.ErrInvalidArgument, base(), lt.Tar(entries...))
	}
	return []Case{
		invalid("device 0:0", lt.Char("file", 0, 0)),
		invalid("device 0:0 in a new directory", lt.Dir("new"), lt.Char("new/x", 0, 0)),
		invalid("opaque", lt.Dir("etc", lt.Xattr("trusted.overlay.opaque", "y"))),
		invalid("opaque for users", lt.Dir("etc", lt.Xattr("user.overlay.opaque", "y"))),
		invalid("xattr whiteout", lt.Dir("etc", lt.Xattr("trusted.overlay.opaque", "x")), lt.File("etc/passwd", "", lt.Xattr("trusted.overlay.whiteout", "y"))),
		invalid("redirect", lt.Dir("new", lt.Xattr("trusted.overlay.redirect", "/etc"))),
		invalid("metacopy", lt.File("file", "", lt.Xattr("trusted.overlay.metacopy", ""))),
		invalid("origin", lt.File("file", "", lt.Xattr("trusted.overlay.origin", "x"))),
		invalid("escaped for nesting", lt.Dir("etc", lt.Xattr("trusted.overlay.overlay.opaque", "y"))),
		invalid("xattr of the root", lt.Dir("./", lt.Xattr("trusted.overlay.opaque", "y"))),
		invalid("xattr of a symbolic link", lt.Symlink("l", "etc", lt.Xattr("trusted.overlay.origin", "y"))),
		invalid("xattr in the records of libarchive", paxed(lt.Dir("etc"), "LIBARCHIVE.xattr.trusted.overlay.opaque", "eQ")),
		invalid("xattr with an escaped name", paxed(lt.Dir("etc"), "LIBARCHIVE.xattr.trusted%2Eoverlay.opaque", "eQ==")),
	}
}

// paxed adds a record to an entry.
func paxed(e lt.Entry, key, value string) lt.Entry {
	if e.Header.PAXRecords == nil {
		e.Header.PAXRecords = map[string]string{}
	}
	e.Header.PAXRecords[key] = value
	return e
}

func xattrs() []Case {
	q := func(name, value string) string { return fmt.Sprintf(" %s=%q", name, value) }
	return []Case{
		accept("xattr: capabilities", lines{"v2 =  0755 5:6" + q("security.capability", capV2), "v3 =  4755" + q("security.capability", capV3)},
			lt.Tar(lt.File("v2", "", lt.Mode(0o755), lt.Owner(5, 6), lt.Xattr("security.capability", capV2)), lt.File("v3", "", lt.Mode(0o4755), lt.Xattr("security.capability", capV3)))),
		accept("xattr: capabilities of a copied file", lines{"a =  0755 5:6" + q("security.capability", capV2), "f =  0755 5:6" + q("security.capability", capV2)},
			lt.Tar(lt.File("f", "", lt.Mode(0o755), lt.Owner(5, 6), lt.Xattr("security.capability", capV2))), lt.Tar(lt.Link("a", "f"))),
		accept("xattr: ACLs", lines{"d/ 0670" + q("system.posix_acl_access", posixACL) + q("system.posix_acl_default", posixACL), "d/e/", "d/f = f", "f =  0670" + q("system.posix_acl_access", posixACL)},
			lt.Tar(lt.File("f", "", lt.Mode(0o670), lt.Xattr("system.posix_acl_access", posixACL)), lt.Dir("d", lt.Mode(0o670), lt.Xattr("system.posix_acl_access", posixACL), lt.Xattr("system.posix_acl_default", posixACL)),
				lt.File("d/f", "f"), lt.Dir("d/e"))),
		accept("xattr: of a directory, lost when it is described again", lines{`d/ 0700 user.b="2"`}, lt.Tar(lt.Dir("d", lt.Xattr("user.a", "1"))), lt.Tar(lt.Dir("d", lt.Mode(0o700), lt.Xattr("user.b", "2")))),
		accept("xattr: of a directory, kept when it is implied", lines{`d/ user.a="1"`, "d/f = f"}, lt.Tar(lt.Dir("d", lt.Xattr("user.a", "1"))), lt.Tar(lt.File("d/f", "f"))),
		accept("xattr: empty, binary, with an equals sign in its name", lines{`f =  user.a="" user.b="\x00\xff"`, `g =  user.c="d=e"`},
			lt.Tar(lt.File("f", "", lt.Xattr("user.a", ""), lt.Xattr("user.b", "\x00\xff")), lt.File("g", "", lt.Xattr("user.c", "d=e")))),
		accept("xattr: records of libarchive", lines{`f =  user.a="\x00\xff" user.p%q="1"`},
			lt.Tar(paxed(paxed(lt.File("f", ""), "LIBARCHIVE.xattr.user.a", "AP8"), "LIBARCHIVE.xattr.user.p%25q", "MQ=="))),
		accept("xattr: the same in both forms", lines{`f =  user.a="y"`}, lt.Tar(paxed(lt.File("f", "", lt.Xattr("user.a", "y")), "LIBARCHIVE.xattr.user.a", "eQ"))),
		accept("xattr: labels of the image's host", lines{`f =  user.a="1"`}, lt.Tar(lt.File("f", "", lt.Xattr("security.selinux", "system_u:object_r:etc_t:s0\x00"), lt.Xattr("security.SMACK64", "_"), lt.Xattr("user.a", "1")))),
		accept("xattr: label of SELinux in a record of its own", lines{"f = "}, lt.Tar(paxed(lt.File("f", ""), "RHT.security.selinux", "system_u:object_r:etc_t:s0"))),
		accept("metadata: file flags of BSD", lines{"f = "}, lt.Tar(paxed(lt.File("f", ""), "SCHILY.fflags", "schg,nodump"))),
		accept("metadata: all else that star and libarchive tell", lines{"f = "}, lt.Tar(paxed(paxed(paxed(lt.File("f", ""), "SCHILY.ino", "5"), "SCHILY.nlink", "2"), "LIBARCHIVE.creationtime", "1"))),
		refuse("xattr: different in both forms", errdefs.ErrInvalidArgument, lt.Tar(paxed(lt.File("f", "", lt.Xattr("user.a", "y")), "LIBARCHIVE.xattr.user.a", "eg"))),
		refuse("xattr: record of libarchive that is no base64", errdefs.ErrInvalidArgument, lt.Tar(paxed(lt.File("f", ""), "LIBARCHIVE.xattr.user.a", "!"))),
		refuse("xattr: record of libarchive with a bad name", errdefs.ErrInvalidArgument, lt.Tar(paxed(lt.File("f", ""), "LIBARCHIVE.xattr.user.a%zz", "eQ"))),
		refuse("xattr: ACL as text", errdefs.ErrInvalidArgument, lt.Tar(paxed(lt.File("f", ""), "SCHILY.acl.access", "user::rw-,user:lisa:r--"))),
		refuse("xattr: name too long", errdefs.ErrInvalidArgument, lt.Tar(lt.File("f", "", lt.Xattr("user."+strings.Repeat("n", 251), "x")))),
		refuse("xattr: value too long", errdefs.ErrInvalidArgument, lt.Tar(lt.File("f", "", lt.Xattr("user.x", strings.Repeat("v", 1<<16+1))))),
		refuse("xattr: without a name", errdefs.ErrInvalidArgument, lt.Tar(lt.File("f", "", lt.Xattr("", "x")))),
	}
}

func metadata() []Case {
	old := time.Unix(-86400*365*30, 999_999_999)
	return []Case{
		accept("metadata: all bits of modes", lines{"d/ 7777", "f =  7777 1:2", "z =  0000"}, lt.Tar(lt.Dir("d", lt.Mode(0o7777)), lt.File("f", "", lt.Mode(0o7777), lt.Owner(1, 2)), lt.File("z", "", lt.Mode(0)))),
		accept("metadata: setgid directory", lines{"d/ 2775 0:50", "d/e/", "d/f = ", "d/i/ @0", "d/i/f = "}, lt.Tar(lt.Dir("d", lt.Mode(0o2775), lt.Owner(0, 50)), lt.File("d/f", ""), lt.Dir("d/e"), lt.File("d/i/f", ""))),
		accept("metadata: highest ids", lines{fmt.Sprintf("d/ %d:%d", highest, highest), fmt.Sprintf("f =  %d:70000", highest), fmt.Sprintf("l -> x %d:1", highest)},
			lt.Tar(lt.File("f", "", lt.Owner(highest, 70000)), lt.Dir("d", lt.Owner(highest, highest)), lt.Symlink("l", "x", lt.Owner(highest, 1)))),
		refuse("metadata: uid -1", errdefs.ErrInvalidArgument, lt.Tar(lt.File("f", "", lt.Owner(highest+1, 0)))),
		refuse("metadata: gid of 33 bits", errdefs.ErrInvalidArgument, lt.Tar(lt.Dir("d", lt.Owner(0, 1<<32)))),
		accept("metadata: times", lines{"d/ @-946080000.000000001", "f =  @-946080000.999999999", "l -> x @0.000000001", "n =  @8589934592.000000001", "p | @-1"},
			lt.Tar(lt.Dir("d", lt.Time(time.Unix(-946080000, 1))), lt.File("f", "", lt.Time(old)), lt.Symlink("l", "x", lt.Time(time.Unix(0, 1))), lt.File("n", "", lt.Time(time.Unix(1<<33, 1))), lt.Fifo("p", lt.Time(time.Unix(-1, 0))))),
		accept("metadata: time of a directory that is written to later", onBase("etc/new = n", "-file"), base(), lt.Tar(lt.File("etc/new", "n"), lt.Whiteout("file"))),
		accept("metadata: root", lines{`/ 0711 7:8 @5 user.r="1"`}, lt.Tar(lt.Dir("./", lt.Mode(0o711), lt.Owner(7, 8), lt.Time(time.Unix(5, 0)), lt.Xattr("user.r", "1")))),
		accept("metadata: names of owners do not count", lines{"f =  5:6"}, lt.Tar(lt.Entry{Header: tar.Header{Typeflag: '0', Name: "f", Uid: 5, Gid: 6, Uname: "root", Gname: "root", Mode: 0o644, ModTime: lt.Mtime, Format: tar.FormatPAX}})),
	}
}

// numbers are those of headers in odd forms.
func numbers() []Case {
	one := func(name string, tree lines, f fields, body string) Case {
		return accept("number: "+name, tree, raw(f, body))
	}
	bad := func(name string, class error, f fields, body string) Case {
		return refuse("number: "+name, class, raw(f, body))
	}
	return []Case{
		one("owner in base 256", lines{"f =  4294967294:0" + second}, fields{name: "f", typ: '0', magic: magicGNU, patch: map[int]string{atUID: "\x80\x00\x00\x00\xff\xff\xff\xfe"}}, ""),
		one("time in base 256, before 1970", lines{"f =  @-2"}, fields{name: "f", typ: '0', magic: magicGNU, patch: map[int]string{atTime: strings.Repeat("\xff", 11) + "\xfe"}}, ""),
		one("size in base 256", lines{"f = xyz" + second}, fields{name: "f", typ: '0', magic: magicGNU, patch: map[int]string{atSize: "\x80" + strings.Repeat("\x00", 10) + "\x03"}}, "xyz"),
		one("owner and size in records", lines{"f = xyz 70000:80000" + second}, fields{name: "f", typ: '0', pax: records("uid", "70000", "gid", "80000", "size", "3")}, "xyz"),
		one("spaces and no end", lines{"f = xyz 5:0" + second}, fields{name: "f", typ: '0', patch: map[int]string{atUID: "    5 \x00\x00", atSize: "         3 \x00"}}, "xyz"),
		one("empty", lines{"f =  0000" + second}, fields{name: "f", typ: '0', patch: map[int]string{atMode: strings.Repeat("\x00", 8), atUID: strings.Repeat(" ", 8)}}, ""),
		one("type of the file in its mode", lines{"f =  4755" + second}, fields{name: "f", typ: '0', patch: map[int]string{atMode: "0104755\x00"}}, ""),
		one("size of a directory", lines{"d/" + second}, fields{name: "d/", typ: '5', size: 4096, patch: map[int]string{atMode: "0000755\x00"}}, ""),
		bad("negative owner", errdefs.ErrInvalidArgument, fields{name: "f", typ: '0', magic: magicGNU, patch: map[int]string{atUID: strings.Repeat("\xff", 8)}}, ""),
		bad("negative size", errdefs.ErrDataLoss, fields{name: "f", typ: '0', magic: magicGNU, patch: map[int]string{atSize: strings.Repeat("\xff", 12)}}, ""),
		bad("no digits", errdefs.ErrDataLoss, fields{name: "f", typ: '0', patch: map[int]string{atSize: "nonsense\x00\x00\x00\x00"}}, ""),
		bad("time in records is none", errdefs.ErrDataLoss, fields{name: "f", typ: '0', pax: records("mtime", "soon")}, ""),
		bad("owner in records is too long", errdefs.ErrDataLoss, fields{name: "f", typ: '0', pax: records("uid", strings.Repeat("9", 40))}, ""),
		bad("negative size in records", errdefs.ErrDataLoss, fields{name: "f", typ: '0', pax: records("size", "-5")}, ""),
		bad("size of more than there is room for", unix.ENOSPC, fields{name: "f", typ: '0', pax: records("size", "1152921504606846976")}, "x"),
	}
}
