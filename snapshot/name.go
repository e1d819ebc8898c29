package snapshot

import "github.com/lrun-dev/lrun/snapshot/key"

// text is a string of any bytes in a record.
type text = key.Text

// suffix ends the file name of every record.
const suffix = key.Suffix

func checkKey(k string) error { return key.Check(k) }

func fileName(k string) string { return key.FileName(k) }
