package command

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func testFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "force", Aliases: []string{"f"}},
		&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}},
		&cli.StringFlag{Name: "hostname", Aliases: []string{"h"}},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}},
		&cli.IntFlag{Name: "last", Aliases: []string{"n"}},
	}
}

func TestReadSortsFlagsAndOperands(t *testing.T) {
	tests := []struct {
		name       string
		args       string // separated by |
		flagsFirst bool
		want       string // flags, --, operands
	}{
		{"nothing", "", false, "--"},
		{"operands", "a|b", false, "--|a|b"},
		{"flag before", "--force|a", false, "--force=true|--|a"},
		{"flag after an operand", "a|--force", false, "--force=true|--|a"},
		{"flag between operands", "a|-f|b", false, "--force=true|--|a|b"},
		{"flag after the first operand of run", "a|--force", true, "--|a|--force"},
		{"flags before and after the first operand of run", "-f|a|-f|-x", true, "--force=true|--|a|-f|-x"},
		{"two dashes before the operand of run", "-f|--|-a|-f", true, "--force=true|--|-a|-f"},
		{"value after =", "--env=A=1", false, "--env=A=1|--"},
		{"value as the next argument", "--env|A=1|a", false, "--env=A=1|--|a"},
		{"value that looks like a flag", "--env|--force", false, "--env=--force|--"},
		{"value that is two dashes", "--env|--|a", false, "--env=--|--|a"},
		{"empty value", "--env=|a", false, "--env=|--|a"},
		{"value with a comma", "-e|A=1,B=2", false, "--env=A=1,B=2|--"},
		{"switch with a value", "--force=false", false, "--force=false|--"},
		{"switch takes no next argument", "--force|false", false, "--force=true|--|false"},
		{"cluster of switches", "-it", false, "--interactive=true|--tty=true|--"},
		{"cluster that ends in a value", "-ite|A=1", false, "--interactive=true|--tty=true|--env=A=1|--"},
		{"value in the cluster", "-n5", false, "--last=5|--"},
		{"value in the cluster after =", "-n=5", false, "--last=5|--"},
		{"value in the cluster after switches", "-iteA=1", false, "--interactive=true|--tty=true|--env=A=1|--"},
		{"short switch with a value", "-f=false|a", false, "--force=false|--|a"},
		{"negative value", "-n|-1", false, "--last=-1|--"},
		{"repeated", "-eA|-eB|--env|C", false, "--env=A|--env=B|--env=C|--"},
		{"dash alone is an operand", "-|a", false, "--|-|a"},
		{"after two dashes all are operands", "--|-f|--help|--", false, "--|-f|--help|--"},
		{"empty operand", "a||b", false, "--|a||b"},
		{"operand help", "help", false, "--|help"},
		{"h is the flag of this command", "-h|x", false, "--hostname=x|--"},
		{"letters that are not ASCII", "ä", false, "--|ä"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := specsOf(testFlags()).read(split(tt.args), tt.flagsFirst)
			if err != nil {
				t.Fatal(err)
			}
			if want := split(tt.want); !slices.Equal(got.canonical(), want) {
				t.Errorf("got  %q\nwant %q", got.canonical(), want)
			}
			if got.help {
				t.Error("help was not asked for")
			}
		})
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ name, args, want string }{
		{"unknown flag", "--nope", "unknown flag: --nope"},
		{"unknown flag with a value", "--nope=1", "unknown flag: --nope"},
		{"slip of the finger", "--frce", "unknown flag: --frce; did you mean --force?"},
		{"unknown short flag", "-x", "unknown shorthand flag: 'x' in -x"},
		{"unknown short flag in a cluster", "-fx", "unknown shorthand flag: 'x' in -fx"},
		{"long flag with one dash", "-force", "unknown shorthand flag: 'o' in -force; did you mean --force?"},
		{"short flag with two dashes", "--f", "unknown flag: --f (short flags take one dash: -f)"},
		{"no value", "--env", "flag needs an argument: --env"},
		{"no value for a short flag", "-fe", "flag needs an argument: 'e' in -fe"},
		{"three dashes", "---force", "unknown flag: ---force; did you mean --force?"},
		{"no name", "--=x", "unknown flag: --"},
		{"bytes that are not UTF-8", "-\xff", "unknown shorthand flag: '�' in -\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := specsOf(testFlags()).read(split(tt.args), false)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestReadFindsHelp(t *testing.T) {
	for _, args := range []string{"--help", "a|--help", "-fi|a|--help", "-h", "-fh"} {
		specs := specsOf(testFlags()[:3])
		if got, err := specs.read(split(args), false); err != nil || !got.help {
			t.Errorf("%s: help %v, error %v", args, got.help, err)
		}
	}
	if got, _ := specsOf(testFlags()).read([]string{"a", "--help"}, true); got.help {
		t.Error("--help behind the operand of run is the container's")
	}
}

// The frame's own reading and package flag's must agree on everything that reading yields.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "-it|a", "--env|A=1|--|b", "-e=|--force=x", "-n5|--last|-1", "-\xff", "--=", "-é", "-|--"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, args string, first bool) {
		specs := specsOf(testFlags())
		in := split(args)
		got, err := specs.read(in, first)
		if err != nil {
			return
		}
		again, err := specs.read(got.canonical(), first)
		if err != nil {
			t.Fatalf("%q read again: %v", got.canonical(), err)
		}
		if !slices.Equal(again.canonical(), got.canonical()) {
			t.Fatalf("%q became %q", got.canonical(), again.canonical())
		}
		rest := in
		for _, o := range got.operands {
			i := slices.Index(rest, o)
			if i < 0 {
				t.Fatalf("operand %q of %q comes from nowhere", o, in)
			}
			rest = rest[i+1:]
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"images", "image", "import", "inspect", "rm", "rmi", "run", "ps", "history"}
	tests := []struct{ word, want string }{
		{"imges", "images"},
		{"iamges", "images"},
		{"imagess", "images"},
		{"ipmort", "import"},
		{"hsitory", "history"},
		{"rnu", "run"},
		{"xyz", ""},
		{"p", ""},
		{"", ""},
		{"completely", ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.word, slices.Clone(words)); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abd", 1}, {"abc", "abcd", 1}, {"kitten", "sitting", 3}}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
