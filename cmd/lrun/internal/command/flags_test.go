package command

import (
	"flag"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

// every is one flag of each kind, none of which has a value.
func every() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "switch", Aliases: []string{"s"}},
		&cli.StringFlag{Name: "text", Aliases: []string{"t", "words"}},
		&cli.StringSliceFlag{Name: "list"},
		&cli.IntFlag{Name: "count", Aliases: []string{"c"}},
		&cli.Int64Flag{Name: "number", Aliases: []string{"n"}},
		&cli.DurationFlag{Name: "while"},
	}
}

func TestNamesOf(t *testing.T) {
	for _, f := range every() {
		if got, want := namesOf(f), f.Names(); !slices.Equal(got, want) {
			t.Errorf("namesOf(%T) = %q, the library says %q", f, got, want)
		}
	}
}

func TestNeeded(t *testing.T) {
	yes, words, five, seven := true, "words", int64(5), 7
	tests := []struct {
		name  string
		flags []cli.Flag
		given []string
		want  []string
	}{
		{"none given", every(), nil, []string{"while"}},
		{"given", every(), []string{"--list=a=b", "--switch=false"}, []string{"switch", "list", "while"}},
		{"a beginning of a name", every(), []string{"--tex=1"}, []string{"while"}},
		{"a value of its own", []cli.Flag{
			&cli.BoolFlag{Name: "b", Value: true}, &cli.StringFlag{Name: "s", Value: "x"},
			&cli.StringSliceFlag{Name: "l", Value: cli.NewStringSlice("x")}, &cli.Int64Flag{Name: "n", Value: 1},
		}, nil, []string{"b", "s", "l", "n"}},
		{"from the environment", []cli.Flag{
			&cli.BoolFlag{Name: "b", EnvVars: []string{"B"}}, &cli.StringFlag{Name: "s", EnvVars: []string{"S"}},
			&cli.StringSliceFlag{Name: "l", EnvVars: []string{"L"}}, &cli.Int64Flag{Name: "n", EnvVars: []string{"N"}},
		}, nil, []string{"b", "s", "l", "n"}},
		{"a destination with a value", []cli.Flag{
			&cli.BoolFlag{Name: "b", Destination: &yes}, &cli.StringFlag{Name: "s", Destination: &words},
			&cli.Int64Flag{Name: "n", Destination: &five},
		}, nil, []string{"b", "s", "n"}},
		{"a destination with the flag's own value", []cli.Flag{
			&cli.BoolFlag{Name: "b", Value: true, Destination: &yes}, &cli.StringFlag{Name: "s", Value: words, Destination: &words},
			&cli.Int64Flag{Name: "n", Value: five, Destination: &five}, &cli.IntFlag{Name: "i", Value: 7, Destination: &seven},
		}, nil, nil},
		{"required", []cli.Flag{&cli.StringFlag{Name: "s", Required: true}}, nil, []string{"s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range needed(tt.flags, tt.given) {
				got = append(got, namesOf(f)[0])
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("needed: %q, want %q", got, tt.want)
			}
		})
	}
}

// What is left out must leave its destination as the library would.
func TestSilentFlagsChangeNothing(t *testing.T) {
	var b bool
	var s string
	var l cli.StringSlice
	var n int64
	flags := []cli.Flag{
		&cli.BoolFlag{Name: "b", Destination: &b}, &cli.StringFlag{Name: "s", Destination: &s},
		&cli.StringSliceFlag{Name: "l", Destination: &l}, &cli.Int64Flag{Name: "n", Destination: &n},
	}
	if left := needed(flags, nil); len(left) != 0 {
		t.Fatalf("%d flags are needed", len(left))
	}
	set := flag.NewFlagSet("", flag.ContinueOnError)
	for _, f := range flags {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if b || s != "" || len(l.Value()) != 0 || n != 0 {
		t.Errorf("the library makes %v, %q, %q, %d of flags that nobody gave", b, s, l.Value(), n)
	}
}
