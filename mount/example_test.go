package mount_test

import (
	"log"

	"github.com/lrun-dev/lrun/mount"
)

func ExampleMount_At() {
	m := mount.Mount{Type: "tmpfs", Source: "scratch", Options: []mount.Option{
		{Key: "nosuid"},
		{Key: "size", Value: "64m"},
	}}
	if err := m.At("/mnt"); err != nil {
		log.Fatal(err) // move_mount source "tmpfs" target "/mnt" flags 0x4: …
	}
	if err := mount.Unmount("/mnt"); err != nil {
		log.Fatal(err)
	}
}
