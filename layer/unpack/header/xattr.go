package header

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// The PAX records of xattrs: as they are, and with the name escaped as in URLs and the value in base64, as libarchive
// writes them besides. "tar --acls" writes ACLs with names that only its own host knows. Labels of SELinux in a record of their
// own (RHT.security.selinux) and the file flags of BSD (SCHILY.fflags) mean nothing in a container and are left out, as everybody does.
const (
	paxXattr        = "SCHILY.xattr."
	paxEncodedXattr = "LIBARCHIVE.xattr."
	paxACL          = "SCHILY.acl."
)

// The kernel's limits (xattr(7)).
const (
	maxXattrName  = 255
	maxXattrValue = 64 << 10
)

// xattrs reads the xattrs among the PAX records of an entry; nil if there is none.
func xattrs(records map[string]string) (map[string]string, error) {
	var found map[string]string
	for key, value := range records {
		name, value, err := xattr(key, value)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		if other, twice := found[name]; twice && other != value {
			return nil, needs.Invalid("xattr %q has two values", name)
		}
		if found == nil {
			found = map[string]string{}
		}
		found[name] = value
	}
	return found, nil
}

// xattr reads one record; the name is empty when it is of something else.
func xattr(key, value string) (string, string, error) {
	if strings.HasPrefix(key, paxACL) {
		return "", "", needs.Invalid("an ACL as text (record %s) is not supported: write it as an xattr, as tools for containers do", key)
	}
	name, plain := strings.CutPrefix(key, paxXattr)
	if !plain {
		encoded, ok := strings.CutPrefix(key, paxEncodedXattr)
		if !ok {
			return "", "", nil
		}
		var err error
		if name, value, err = decodeXattr(encoded, value); err != nil {
			return "", "", needs.Invalid("record %q: %v", key, err)
		}
	}
	switch {
	case inode.IsOverlayXattr(name):
		return "", "", needs.Invalid("xattr %q is overlayfs's own and would change the layers below", name)
	case inode.IsForeignXattr(name):
		return "", "", nil // the host of the image put it there; a copy of the file leaves it out, too
	case name == "" || len(name) > maxXattrName || strings.IndexByte(name, 0) >= 0:
		return "", "", needs.Invalid("the name of an xattr is empty, longer than %d bytes, or holds a NUL", maxXattrName)
	case len(value) > maxXattrValue:
		return "", "", needs.Invalid("xattr %q is longer than %d bytes", name, maxXattrValue)
	}
	return name, value, nil
}

func decodeXattr(name, value string) (string, string, error) {
	decoded, err := url.PathUnescape(name)
	if err != nil {
		return "", "", err
	}
	data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	return decoded, string(data), err
}
