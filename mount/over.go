package mount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Over is a mount that is laid over a directory before another mount is made, and seen by that alone: no mount namespace
// has it afterwards. It lasts as long as what was made of it.
type Over struct {
	// Open makes the mount, attached nowhere.
	Open func() (*os.File, error)
	// Target is the directory.
	Target string
}

// open makes what is laid over something; nil makes nothing.
func (o *Over) open() (*os.File, error) {
	if o == nil {
		return nil, nil
	}
	return o.Open()
}

// openOver is Open of a mount that has Over. Linux before 6.15 takes no layer from a detached mount, so it is attached,
// in a mount namespace that ends with the call.
func (m Mount) openOver(attr uint64, options []Option) (f *os.File, err error) {
	over, err := m.Over.open() // outside: what it opens is not to keep the namespace
	if err != nil {
		return nil, err
	}
	onOwnThread(func() { f, err = m.openOverInThread(attr, options, over) })
	return f, errors.Join(err, over.Close())
}

// openOverInThread changes the calling thread for good.
func (m Mount) openOverInThread(attr uint64, options []Option, over *os.File) (*os.File, error) {
	if err := m.unshare(); err != nil {
		return nil, err
	}
	if err := Attach(over, m.Over.Target); err != nil {
		return nil, err
	}
	switch {
	case m.Type == "bind":
		return m.openBind(attr, options)
	case m.Method == ByNumber && hasDirs(options):
		return m.writable(func() (*os.File, error) { return m.openAtScratch(attr, options) })
	default:
		return m.writable(func() (*os.File, error) { return m.openByContext(attr, options) })
	}
}

// openMappedBindOver is OpenMapped of a bind that has Over.
func (m Mount) openMappedBindOver(attr uint64, options []Option, o Owners) (*os.File, error) {
	f, err := m.openOver(attr, options)
	if err != nil {
		return nil, err
	}
	if err := m.translate(f, o, false); err != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, nil
}

// attachMapped attaches over, which may be nil, to its target with its owners translated.
func (m Mount) attachMapped(over *os.File, o Owners) error {
	if over == nil {
		return nil
	}
	if err := m.translate(over, o, false); err != nil {
		return err
	}
	return Attach(over, m.Over.Target)
}

// unshare gives the calling thread a mount namespace of its own, for good, in which nothing that it mounts travels out.
func (m Mount) unshare() error {
	const flags = unix.CLONE_FS | unix.CLONE_NEWNS
	if err := unix.Unshare(flags); err != nil {
		return m.fail("unshare", flags, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return m.fail("make / private", unix.MS_REC|unix.MS_PRIVATE, err)
	}
	return nil
}
