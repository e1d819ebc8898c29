package image

import "strings"

// The pieces of a reference, matched by hand: compiled regular expressions would cost every start
// of the program more than all references that it parses.

// isDomain reports whether s is a host, an IPv4 or a bracketed IPv6 address, with or without a port.
func isDomain(s string) bool {
	if addr, bracketed := strings.CutPrefix(s, "["); bracketed {
		addr, port, closed := strings.Cut(addr, "]")
		return closed && addr != "" && all(addr, func(c byte) bool { return isHexByte(c|0x20) || c == ':' }) &&
			(port == "" || port[0] == ':' && isNumber(port[1:]))
	}
	host, port, ported := strings.Cut(s, ":")
	if ported && !isNumber(port) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isLabel reports whether s is letters and digits with dashes between them.
func isLabel(s string) bool {
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' &&
		all(s, func(c byte) bool { return isLowerAlnum(c) || 'A' <= c && c <= 'Z' || c == '-' })
}

// isPath reports whether s is one or more components between slashes.
func isPath(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent reports whether s is runs of lower-case letters and digits with one separator between
// any two: a dot, one or two underscores, or any number of dashes.
func isComponent(s string) bool {
	for {
		rest := strings.TrimLeftFunc(s, func(c rune) bool { return c < 0x80 && isLowerAlnum(byte(c)) })
		if len(rest) == len(s) {
			return false
		}
		if rest == "" {
			return true
		}
		after := rest
		switch rest[0] {
		case '.':
			after = rest[1:]
		case '_':
			after = strings.TrimPrefix(rest[1:], "_")
		case '-':
			after = strings.TrimLeft(rest, "-")
		}
		if len(after) == len(rest) {
			return false
		}
		s = after
	}
}

// isTag reports whether s is 1 to 128 letters, digits, underscores, dots and dashes, the last two not first.
func isTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && all(s, func(c byte) bool {
		return isLowerAlnum(c) || 'A' <= c && c <= 'Z' || c == '_' || c == '.' || c == '-'
	})
}

// isHex reports whether s is lower-case hexadecimal digits only.
func isHex(s string) bool { return s != "" && all(s, isHexByte) }

func isNumber(s string) bool {
	return s != "" && all(s, func(c byte) bool { return '0' <= c && c <= '9' })
}

func isHexByte(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func isLowerAlnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' }

func all(s string, ok func(c byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
