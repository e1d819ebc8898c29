package format

import (
	"time"

	"github.com/docker/go-units"
)

// None stands for a name, tag or digest that is not there.
const None = "<none>"

// Size is a number of bytes in words: "4.26MB". Units are powers of 1000.
func Size(bytes int64) string {
	return units.HumanSizeWithPrecision(float64(bytes), 3)
}

// DiskSize is Size with one digit more, as Docker has it where the disk is meant: "4.262MB".
func DiskSize(bytes int64) string {
	return units.HumanSize(float64(bytes))
}

// Ago is how long ago t was: "2 weeks ago"; the zero time and Unix's first second, which reproducible images
// carry, are "N/A".
func Ago(now, t time.Time) string {
	if t.IsZero() || t.Unix() == 0 {
		return "N/A"
	}
	return units.HumanDuration(now.Sub(t)) + " ago"
}

// Time is t as lists show it in local time: "2026-01-31 14:05:06 +0100 CET".
func Time(t time.Time) string {
	if t.IsZero() || t.Unix() == 0 {
		return "N/A"
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700 MST")
}

// ShortID is the first twelve digits of an id or digest, without its algorithm.
func ShortID(id string) string {
	for i := range len(id) {
		if id[i] == ':' {
			id = id[i+1:]
			break
		}
	}
	return truncate(id, 12)
}

// Ellipsis is s cut to n characters, the last of which says that something was cut.
func Ellipsis(s string, n int) string {
	if cut := truncate(s, n); len(cut) == len(s) || n < 1 {
		return cut
	}
	return truncate(s, n-1) + "…"
}
