package writelog_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lrun-dev/lrun/integration/writelog"
)

// kernelLog is a log as the kernel makes it. The entries write a's, b's and so on.
func kernelLog(entries ...writelog.Entry) []byte {
	var b bytes.Buffer
	sector := func(words ...uint64) []byte {
		s := make([]byte, 512)
		for i, w := range words {
			binary.LittleEndian.PutUint64(s[8*i:], w)
		}
		return s
	}
	b.Write(sector(0x6a736677736872, 1, uint64(len(entries)), 512))
	for i, e := range entries {
		head := sector(uint64(e.To)/512, uint64(e.Length)/512, e.Flags, uint64(len(e.Mark)))
		copy(head[32:], e.Mark)
		b.Write(head)
		if e.Flags&writelog.Discard == 0 {
			b.Write(bytes.Repeat([]byte{byte('a' + i)}, int(e.Length)))
		}
	}
	return b.Bytes()
}

// A disk of which the power is taken has all that was flushed and all that bypassed its cache, of the rest what it likes, and
// nothing that came later.
func TestReplay(t *testing.T) {
	log := kernelLog(
		writelog.Entry{To: 0, Length: 8192},                             // a
		writelog.Entry{To: 4096, Length: 512, Flags: writelog.FUA},      // b
		writelog.Entry{Flags: writelog.Flush},                           // c
		writelog.Entry{To: 16384, Length: 4096, Flags: writelog.FUA},    // d
		writelog.Entry{Flags: writelog.Mark, Mark: "half"},              // e
		writelog.Entry{To: 0, Length: 8192},                             // f
		writelog.Entry{To: 4096, Length: 4096, Flags: writelog.Discard}, // g
		writelog.Entry{Flags: writelog.Flush},                           // h
		writelog.Entry{To: 8192, Length: 512},                           // i
		writelog.Entry{To: 4096 + 512, Length: 4096},                    // j
	)
	all, none := func(int) bool { return true }, func(int) bool { return false }
	second := false // of two blocks of one write
	for name, c := range map[string]struct {
		entries int
		keep    func(int) bool
		want    string // the first byte of each block
	}{
		"nothing":                           {entries: 0, keep: all, want: "....."},
		"before the first flush":            {entries: 1, keep: none, want: "....."},
		"all before the first flush":        {entries: 1, keep: all, want: "aa..."},
		"past the cache":                    {entries: 2, keep: none, want: ".b..."},
		"flushed":                           {entries: 3, keep: none, want: "ab..."},
		"past the cache after a flush":      {entries: 6, keep: none, want: "ab..d"},
		"all":                               {entries: 6, keep: all, want: "ff..d"},
		"a later write without the earlier": {entries: 7, keep: func(i int) bool { return i == 6 }, want: "a...d"},
		"half of a write":                   {entries: 6, keep: func(i int) bool { second = !second; return i == 5 && !second }, want: "af..d"},
		"at the second flush":               {entries: 8, keep: none, want: "f...d"},
		"a discard that was not flushed":    {entries: 7, keep: all, want: "f...d"},
		"across two blocks":                 {entries: 10, keep: func(i int) bool { return i == 9 }, want: "f.j.d"},
		"the end":                           {entries: 9, keep: all, want: "f.i.d"},
	} {
		t.Run(name, func(t *testing.T) {
			entries, end, err := writelog.Read(bytes.NewReader(log))
			if err != nil || end != int64(len(log)) || len(entries) != 10 || entries[4].Mark != "half" {
				t.Fatalf("%d entries in %d of %d bytes, %v: %v", len(entries), end, len(log), entries, err)
			}
			disk, err := os.Create(filepath.Join(t.TempDir(), "disk"))
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Close()
			if err := disk.Truncate(5 * 4096); err != nil {
				t.Fatal(err)
			}
			r := &writelog.Replay{Log: bytes.NewReader(log), Entries: entries, Disk: disk}
			for n := range c.entries { // step by step is the same as at once
				if err := r.Flushed(n); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Flushed(c.entries); err != nil {
				t.Fatal(err)
			}
			if err := r.Unflushed(disk, c.entries, c.keep); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			for i := range got {
				if _, err := disk.ReadAt(got[i:i+1], int64(4096*i)); err != nil {
					t.Fatal(err)
				}
			}
			if want := bytes.ReplaceAll([]byte(c.want), []byte("."), []byte{0}); !slices.Equal(got, want) {
				t.Errorf("the disk has %q, want %q", got, want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	good := kernelLog(writelog.Entry{To: 0, Length: 512}, writelog.Entry{Flags: writelog.Mark, Mark: "m"})
	for name, c := range map[string]struct {
		at   int
		with uint64
	}{
		"another magic":   {at: 0, with: 1},
		"another version": {at: 8, with: 2},
		"an odd sector":   {at: 24, with: 100},
		"more entries":    {at: 16, with: 3},
		"a long entry":    {at: 520, with: 1 << 60},
		"a long mark":     {at: 1536 + 24, with: 4096},
	} {
		bad := slices.Clone(good)
		binary.LittleEndian.PutUint64(bad[c.at:], c.with)
		if entries, _, err := writelog.Read(bytes.NewReader(bad)); err == nil {
			t.Errorf("%s: %v", name, entries)
		}
	}
}

// No log, however damaged, leads outside of itself.
func FuzzRead(f *testing.F) {
	f.Add(kernelLog(writelog.Entry{To: 512, Length: 512}, writelog.Entry{Flags: writelog.Flush}, writelog.Entry{Flags: writelog.Mark, Mark: "m"}))
	f.Add(kernelLog(writelog.Entry{To: 0, Length: 4096, Flags: writelog.Discard}))
	f.Fuzz(func(t *testing.T, log []byte) {
		entries, end, err := writelog.Read(bytes.NewReader(log))
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.From > end || e.To < 0 || e.Length < 0 {
				t.Errorf("%+v of %d bytes", e, len(log))
			}
		}
	})
}
