// Package grammar knows the pieces of references and platforms. They are matched by hand: compiled regular expressions would
// cost every start of the program more than all references that it parses.
package grammar

import "strings"

const maxTag = 128

// IsDomain reports whether s is a host, an IPv4 or a bracketed IPv6 address, with or without a port.
func IsDomain(s string) bool {
	if addr, bracketed := strings.CutPrefix(s, "["); bracketed {
		addr, port, closed := strings.Cut(addr, "]")
		return closed && addr != "" && all(addr, func(c byte) bool { return isHexByte(c|0x20) || c == ':' }) &&
			(port == "" || port[0] == ':' && IsNumber(port[1:]))
	}
	host, port, ported := strings.Cut(s, ":")
	if ported && !IsNumber(port) {
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

// IsPath reports whether s is one or more components between slashes.
func IsPath(s string) bool {
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

// IsTag reports whether s is 1 to 128 letters, digits, underscores, dots and dashes, the last two not first.
func IsTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && all(s, func(c byte) bool {
		return isLowerAlnum(c) || 'A' <= c && c <= 'Z' || c == '_' || c == '.' || c == '-'
	})
}

// IsHex reports whether s is lower-case hexadecimal digits only.
func IsHex(s string) bool { return s != "" && all(s, isHexByte) }

// IsNumber reports whether s is decimal digits only.
func IsNumber(s string) bool {
	return s != "" && all(s, func(c byte) bool { return '0' <= c && c <= '9' })
}

// IsWord reports whether s is lower-case letters and digits, underscores, dashes and dots: a part of a platform.
func IsWord(s string) bool {
	return s != "" && all(s, func(c byte) bool { return isLowerAlnum(c) || c == '_' || c == '-' || c == '.' })
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
