package change

import (
	"errors"
	"fmt"
	"strings"
)

// pair is NAME=VALUE.
type pair struct{ name, value string }

// parsePairs parses the arguments of ENV and LABEL: NAME=VALUE in words, with quotes and backslashes,
// or the old form NAME VALUE, in which the value is the rest of the line. Variables are those of env.
func parsePairs(s string, env []string) ([]pair, error) {
	words := splitWords(s)
	var pairs []pair
	if len(words) > 1 && !strings.Contains(words[0], "=") {
		words = []string{words[0] + "=" + strings.TrimLeft(s[len(words[0]):], blanks)}
	}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form NAME=VALUE", w)
		}
		name, err := expand(name, env)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, fmt.Errorf("%q has no name", w)
		}
		if value, err = expand(value, env); err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

// splitWords splits s at blanks that are neither quoted nor escaped. Quotes and backslashes stay: see expand.
func splitWords(s string) []string {
	var words []string
	for {
		s = strings.TrimLeft(s, blanks)
		if s == "" {
			return words
		}
		n := wordLength(s)
		words = append(words, s[:n])
		s = s[n:]
	}
}

const blanks = " \t"

// wordLength returns the length of the word at the beginning of s.
func wordLength(s string) int {
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == ' ' || c == '\t':
			return i
		}
	}
	return len(s)
}

// expand removes quotes and backslashes from s and replaces variables by their values in env, of
// NAME=VALUE each: $NAME, ${NAME}, ${NAME:-DEFAULT} and ${NAME:+INSTEAD}, the last two without the
// colon too. What is not set is empty.
func expand(s string, env []string) (string, error) {
	e := &expander{rest: s, env: env}
	if err := e.until(""); err != nil {
		return "", err
	}
	return e.out.String(), nil
}

// expander expands rest into out.
type expander struct {
	rest string
	env  []string
	out  strings.Builder
}

// next takes one byte of rest.
func (e *expander) next() byte {
	c := e.rest[0]
	e.rest = e.rest[1:]
	return c
}

// until expands up to the byte end, which it takes, or if end is empty up to the end of rest.
func (e *expander) until(end string) error {
	for e.rest != "" {
		c := e.next()
		switch {
		case end == string(c):
			return nil
		case c == '\'' && end != `"`:
			quoted, rest, ok := strings.Cut(e.rest, "'")
			if !ok {
				return errors.New("a single quote is not closed")
			}
			e.out.WriteString(quoted)
			e.rest = rest
		case c == '"':
			if err := e.until(`"`); err != nil {
				return err
			}
		case c == '\\':
			e.escape(end == `"`)
		case c == '$':
			if err := e.variable(); err != nil {
				return err
			}
		default:
			e.out.WriteByte(c)
		}
	}
	if end != "" {
		return fmt.Errorf("%s is missing at the end", end)
	}
	return nil
}

// escape takes the byte after a backslash. In double quotes only three bytes can be escaped.
func (e *expander) escape(quoted bool) {
	if quoted && (e.rest == "" || !strings.ContainsRune(`"$\`, rune(e.rest[0]))) {
		e.out.WriteByte('\\')
		return
	}
	if e.rest != "" {
		e.out.WriteByte(e.next())
	}
}

// variable takes what follows a dollar sign.
func (e *expander) variable() error {
	rest, braced := strings.CutPrefix(e.rest, "{")
	n := 0
	for n < len(rest) && (rest[n] == '_' || isLetter(rest[n]) || n > 0 && '0' <= rest[n] && rest[n] <= '9') {
		n++
	}
	name, after := rest[:n], rest[n:]
	if n == 0 {
		if braced {
			return fmt.Errorf("the variable in %q has no name", "$"+e.rest)
		}
		e.out.WriteByte('$')
		return nil
	}
	value, set := e.lookup(name)
	if !braced {
		e.rest = after
		e.out.WriteString(value)
		return nil
	}
	return e.modified(after, value, set)
}

// modified takes the rest of ${NAME and writes what it makes of the value.
func (e *expander) modified(after, value string, set bool) error {
	operator := strings.TrimPrefix(after, ":")
	if len(operator) < len(after) {
		set = value != ""
	}
	if operator == "" {
		return errors.New("} is missing at the end")
	}
	e.rest = operator[1:]
	if operator[0] == '}' && operator == after {
		e.out.WriteString(value)
		return nil
	}
	if operator[0] != '-' && operator[0] != '+' {
		return fmt.Errorf("only :- and :+ are supported after the name of a variable, not %q", after)
	}
	word := &expander{rest: e.rest, env: e.env}
	if err := word.until("}"); err != nil {
		return err
	}
	e.rest = word.rest
	switch {
	case set && operator[0] == '+', !set && operator[0] == '-':
		e.out.WriteString(word.out.String())
	case set:
		e.out.WriteString(value)
	}
	return nil
}

func (e *expander) lookup(name string) (string, bool) {
	for _, v := range e.env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
