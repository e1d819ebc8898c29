package corpus

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// formats are those that tars had before PAX, and what it can hold besides.
func formats() []Case {
	deep := strings.Repeat("d", 90)
	return []Case{
		accept("format: V7", lines{"d/" + second, "f = x" + second}, concat(
			entry(fields{name: "d/", typ: 0, magic: magicV7, patch: map[int]string{atMode: "0000755\x00"}}, ""), raw(fields{name: "f", typ: 0, magic: magicV7, size: 1}, "x"))),
		accept("format: prefix of ustar", lines{deep + "/ @0", deep + "/f = x" + second}, raw(fields{name: "f", typ: '0', size: 1, patch: map[int]string{atPrefix: deep}}, "x")),
		accept("format: long link target of GNU", lines{"l -> " + text(strings.Repeat("t/", 100)) + second}, concat(
			entry(fields{name: "././@LongLink", typ: 'K', size: 201}, strings.Repeat("t/", 100)+"\x00"), raw(fields{name: "l", link: "short", typ: '2'}, ""))),
		accept("format: global records", lines{"f = x" + second}, concat(
			entry(fields{name: "pax_global_header", typ: 'g', size: len(records("comment", "x"))}, string(records("comment", "x"))), raw(fields{name: "f", typ: '0', size: 1}, "x"))),
		accept("format: records that mean nothing", lines{"f = x" + second}, raw(fields{name: "f", typ: '0', size: 1, pax: records("comment", "x", "VENDOR.key", "y", "charset", "BINARY")}, "x")),
		accept("format: a record twice", lines{"b = x" + second}, raw(fields{name: "f", typ: '0', size: 1, pax: records("path", "a", "path", "b")}, "x")),
		accept("format: file whose name ends in a slash", lines{"f = x" + second}, raw(fields{name: "f/", typ: '0', size: 1}, "x")),
		accept("format: directory whose name does not", lines{"d/" + second}, raw(fields{name: "d", typ: '5', patch: map[int]string{atMode: "0000755\x00"}}, "")),
		accept("format: no end of the archive", lines{"f = x"}, open(lt.Tar(lt.File("f", "x")))),
		accept("format: half an end", lines{"f = x"}, concat(open(lt.Tar(lt.File("f", "x"))), make([]byte, 512))),
		accept("format: empty stream", nil, []byte{}),
		accept("format: nothing but the end", nil, end()),
		accept("format: nothing but zeros", nil, make([]byte, 1<<20)),
	}
}

// sparse are files with holes, in the four forms that GNU tar writes: 12 KiB with 4 KiB of data in the middle.
func sparse() []Case {
	data := strings.Repeat("x", 4096)
	whole := strings.Repeat("\x00", 4096) + data + strings.Repeat("\x00", 4096)
	tree := lines{"f = " + text(whole) + second}
	oldForm := func(sparseMap, size string) fields {
		return fields{name: "f", typ: 'S', magic: magicGNU, size: 4096, patch: map[int]string{386: sparseMap, 483: size}}
	}
	pax := func(pairs ...string) fields {
		return fields{name: "GNUSparseFile.1/f", typ: '0', size: 4096, pax: records(pairs...)}
	}
	withMap := pax("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "f", "GNU.sparse.realsize", "12288")
	withMap.size += 512
	inBody := func(text string) string { return text + strings.Repeat("\x00", 512-len(text)) + data }
	const old = "00000010000\x0000000010000\x00"
	const at = "GNU.sparse.offset"
	const count = "GNU.sparse.numbytes"
	return []Case{
		accept("sparse: old form of GNU", tree, raw(oldForm(old, "00000030000\x00"), data)),
		accept("sparse: 0.0", lines{"GNUSparseFile.1/ @0", "GNUSparseFile.1/f = " + text(whole) + second},
			raw(pax("GNU.sparse.size", "12288", "GNU.sparse.numblocks", "1", at, "4096", count, "4096"), data)),
		accept("sparse: 0.1", tree, raw(pax("GNU.sparse.name", "f", "GNU.sparse.size", "12288", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "4096,4096"), data)),
		accept("sparse: 1.0", tree, raw(withMap, inBody("1\n4096\n4096\n"))),
		refuse("sparse: map beyond the file", errdefs.ErrDataLoss, raw(withMap, inBody("1\n8192\n8192\n"))),
		refuse("sparse: map that goes back", errdefs.ErrDataLoss, raw(withMap, inBody("2\n8192\n2048\n0\n2048\n"))),
		refuse("sparse: map that is none", errdefs.ErrDataLoss, raw(withMap, inBody("one\n"))),
		refuse("sparse: map without end", errdefs.ErrDataLoss, raw(withMap, inBody("99999999999\n0\n1\n"))),
		refuse("sparse: of an exabyte", errdefs.ErrInvalidArgument, raw(pax("GNU.sparse.name", "f", "GNU.sparse.size", "1152921504606846976", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "4096,4096"), data)),
		refuse("sparse: old form, negative size", errdefs.ErrDataLoss, raw(oldForm(old, strings.Repeat("\xff", 12)), data)),
		refuse("sparse: less data than the map says", errdefs.ErrDataLoss, raw(oldForm("00000000000\x0000000020000\x00", "00000030000\x00"), data)),
	}
}

// damaged are streams that end too early or hold what no tar holds.
func damaged() []Case {
	whole := lt.Tar(lt.File("a", "a"), lt.File("f", strings.Repeat("x", 2000)))
	bad := func(name string, stream []byte) Case { return refuse("damaged: "+name, errdefs.ErrDataLoss, stream) }
	changed := bytes.Clone(whole)
	changed[len(whole)-1024-2048-400]++
	return []Case{
		bad("cut in a header", whole[:len(whole)-1024-2048-100]),
		bad("cut in the records", whole[:700]),
		bad("cut in a body", whole[:len(whole)-1024-1000]),
		bad("a byte of a header changed", changed),
		bad("checksum", raw(fields{name: "f", typ: '0', broken: true}, "")),
		bad("size larger than the body", open(raw(fields{name: "f", typ: '0', size: 5000}, "x"))),
		bad("size smaller than the body", raw(fields{name: "f", typ: '0', size: 1}, strings.Repeat("x", 1000))),
		bad("body of a link", raw(fields{name: "l", link: "f", typ: '2', size: 1000}, strings.Repeat("x", 1000))),
		bad("one byte", []byte{'x'}),
		bad("text", []byte(strings.Repeat("<html>404 not found</html>\n", 40))),
		bad("half an end, then garbage", concat(open(whole), make([]byte, 512), []byte(strings.Repeat("x", 512)))),
		bad("records without a length", raw(fields{name: "f", typ: '0', pax: []byte("path=x\n")}, "")),
		bad("records longer than they say", raw(fields{name: "f", typ: '0', pax: []byte("5 path=x\n")}, "")),
		bad("records shorter than they say", raw(fields{name: "f", typ: '0', pax: []byte("99 path=x\n")}, "")),
		bad("records with a NUL in a name", raw(fields{name: "f", typ: '0', pax: records("path", "a\x00b")}, "")),
		bad("records and nothing else", concat(entry(fields{name: "x", typ: 'x', size: 10}, "10 path=x\n"), end())),
		bad("records of four megabytes", raw(fields{name: "f", typ: '0', pax: records("comment", strings.Repeat("c", 4<<20))}, "")),
		bad("long name of GNU and nothing else", concat(entry(fields{name: "././@LongLink", typ: 'L', size: 4}, "abc\x00"), end())),
		bad("long name of GNU of four megabytes", concat(entry(fields{name: "././@LongLink", typ: 'L', size: 4 << 20}, strings.Repeat("n", 4<<20)), raw(fields{name: "f", typ: '0'}, ""))),
	}
}

// ends are what may follow the end of an archive, all of which counts for the DiffID and is no part of the tree.
func ends() []Case {
	one, two := lt.Tar(lt.File("a", "1")), lt.Tar(lt.File("b", "2"))
	return []Case{
		accept("end: more zeros", lines{"a = 1"}, concat(one, make([]byte, 20*512))),
		accept("end: an odd number of zeros", lines{"a = 1"}, concat(one, make([]byte, 1001))),
		accept("end: garbage", lines{"a = 1"}, concat(one, []byte("garbage"))),
		accept("end: another archive", lines{"a = 1"}, concat(one, two)),
		accept("end: another archive instead of the end", lines{"a = 1", "b = 2"}, concat(open(one), two)),
	}
}

func names() []Case {
	long := strings.Repeat("n", 255)
	fourk := strings.TrimSuffix(strings.Repeat(strings.Repeat("c", 31)+"/", 128), "/") // 4095 bytes
	deepest := lines{}
	for at, all := 0, strings.Split(fourk, "/"); at < len(all)-1; at++ {
		deepest = append(deepest, strings.Join(all[:at+1], "/")+"/ @0")
	}
	invalid := func(name string, entries ...lt.Entry) Case {
		return refuse("name: "+name, errdefs.ErrInvalidArgument, lt.Tar(entries...))
	}
	return []Case{
		accept("name: 255 bytes", lines{long + "/", long + "/" + long + " = x"}, lt.Tar(lt.Dir(long), lt.File(long+"/"+long, "x"))),
		invalid("256 bytes", lt.File(long+"n", "x")),
		invalid("directory of 256 bytes", lt.Dir(long+"n")),
		invalid("parent of 256 bytes", lt.File(long+"n/x", "x")),
		invalid("link of 256 bytes", lt.File("f", ""), lt.Link(long+"n", "f")),
		invalid("link to 256 bytes", lt.Link("l", long+"n")),
		accept("name: whiteout of 255 bytes", lines{"d/"}, lt.Tar(lt.Dir("d"), lt.File("d/"+long, "x")), lt.Tar(lt.Whiteout("d/"+long))),
		invalid("whiteout of 256 bytes", lt.Whiteout(long+"n")),
		accept("name: 4095 bytes", append(deepest, fourk+" = x"), lt.Tar(lt.File(fourk, "x"))),
		invalid("4096 bytes", lt.File(fourk+"c", "x")),
		accept("name: target of 4095 bytes", lines{"l -> " + text(fourk)}, lt.Tar(lt.Symlink("l", fourk))),
		invalid("target of 4096 bytes", lt.Symlink("l", fourk+"c")),
		refuse("name: empty target", errdefs.ErrInvalidArgument, raw(fields{name: "l", typ: '2'}, "")),
		refuse("name: empty", errdefs.ErrInvalidArgument, raw(fields{typ: '0'}, "")),
		accept("name: not UTF-8", lines{`\xff\xfe/`, `\xff\xfe/caf\xe9 = x`, `l\xff -> \xc3(`}, lt.Tar(lt.Dir("\xff\xfe"), lt.File("\xff\xfe/caf\xe9", "x"), lt.Symlink("l\xff", "\xc3\x28"))),
		accept("name: not UTF-8, removed", lines{"d/"}, lt.Tar(lt.Dir("d"), lt.File("d/caf\xe9", "x")), lt.Tar(lt.Whiteout("d/caf\xe9"))),
		accept("name: alike", lines{"A = 2", "a = 1", `caf\u00e9 = 3`, `cafe\u0301 = 4`}, lt.Tar(lt.File("a", "1"), lt.File("A", "2"), lt.File("caf\u00e9", "3"), lt.File("cafe\u0301", "4"))),
		accept("name: odd characters", lines{`\n = 1`, `\t"'\\ = 2`, `  = 3`, `... = 4`, `-rf = 5`, `* = 6`, `\u202etxt.exe = 7`, `\x1b[2J = 8`, `a:b,c=d = 9`},
			lt.Tar(lt.File("\n", "1"), lt.File("\t\"'\\", "2"), lt.File(" ", "3"), lt.File("...", "4"), lt.File("-rf", "5"), lt.File("*", "6"), lt.File("\u202etxt.exe", "7"), lt.File("\x1b[2J", "8"), lt.File("a:b,c=d", "9"))),
		invalid("link to a parent of 256 bytes", lt.Symlink("l", long+"n"), lt.File("l/x", "")),
		refuse("name: link below to a parent of 256 bytes", errdefs.ErrInvalidArgument, lt.Tar(lt.Symlink("l", long+"n")), lt.Tar(lt.File("l/x", ""))),
		invalid("hard link to a whiteout of 255 bytes", lt.Link("l", ".wh."+long)),
		accept("name: slashes and dots", lines{"a/ @0", "a/b = x"}, lt.Tar(lt.File(".//a/.///./b", "x"))),
	}
}

func deep() []Case {
	level := func(n int) string { return strings.TrimSuffix(strings.Repeat("d/", n), "/") }
	tree := func(n int) (all lines) {
		for i := range n {
			all = append(all, level(i+1)+"/ @0")
		}
		return all
	}
	invalid := func(name string, layers ...[]byte) Case {
		return refuse("deep: "+name, errdefs.ErrInvalidArgument, layers...)
	}
	return []Case{
		accept("deep: 255 levels", append(tree(254), level(254)+"/f = x"), lt.Tar(lt.File(level(254)+"/f", "x"))),
		invalid("256 levels", lt.Tar(lt.File(level(255)+"/f", "x"))),
		invalid("2000 levels", lt.Tar(lt.File(level(1999)+"/f", "x"))),
		invalid("4000 levels", lt.Tar(lt.File(level(3999)+"/f", "x"))),
		invalid("4000 levels of a whiteout", lt.Tar(lt.Whiteout(level(3999)+"/f"))),
		invalid("4000 levels, one after the other", ladder(4000)),
		invalid("4000 levels, through links below", lt.Tar(chainOfLinks(20, level(200))...), lt.Tar(lt.File("l19/f", "x"))),
		invalid("through a link", lt.Tar(lt.File(level(200)+"/f", "x"), lt.Symlink("l", level(200)), lt.File("l/"+level(100)+"/f", "x"))),
		invalid("through a link below", lt.Tar(lt.File(level(200)+"/f", "x"), lt.Symlink("l", level(200))), lt.Tar(lt.File("l/"+level(100)+"/f", "x"))),
	}
}

// chainOfLinks are links of which each leads, through the one before, deeper by the directories of step.
func chainOfLinks(count int, step string) (entries []lt.Entry) {
	at := step
	for i := range count {
		entries = append(entries, lt.Symlink(fmt.Sprint("l", i), at))
		at = fmt.Sprint("l", i, "/", step)
	}
	return entries
}

// ladder goes down to level, ten directories with each entry.
func ladder(levels int) []byte {
	var all [][]byte
	for at := 10; at <= levels; at += 10 {
		all = append(all, entry(fields{name: "d", typ: '5', pax: records("path", strings.Repeat("d/", at))}, ""))
	}
	return concat(append(all, end())...)
}

// counts are stacks of many layers. Each layer replaces the file of the one below.
func counts() []Case {
	stack := func(n int) (layers [][]byte) {
		for i := range n {
			layers = append(layers, lt.Tar(lt.File("n", fmt.Sprint(i))))
		}
		return layers
	}
	return []Case{
		accept("count: no layer with an entry", nil, lt.Tar(), lt.Tar(), lt.Tar()),
		accept("count: 130 layers", lines{"n = 129"}, stack(130)...),
		{Name: "count: 500 layers", Tree: lines{"n = 499"}, Layers: stack(500), Long: true},
		refuse("count: 501 layers", errdefs.ErrInvalidArgument, stack(501)...),
		refuse("count: 600 layers", errdefs.ErrInvalidArgument, stack(600)...),
	}
}
