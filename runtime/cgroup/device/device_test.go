package device

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func item(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		d.Major = &major
	}
	if minor >= 0 {
		d.Minor = &minor
	}
	return d
}

// dockers are the rules of an ordinary container.
func dockers() []specs.LinuxDeviceCgroup {
	list := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"}, item(true, "c", -1, -1, "m"), item(true, "b", -1, -1, "m"),
	}
	for _, n := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, -1}} {
		list = append(list, item(true, "c", n[0], n[1], "rwm"))
	}
	return list
}

func TestDeviceRulesAsLines(t *testing.T) {
	for name, c := range map[string]struct {
		list []specs.LinuxDeviceCgroup
		want []string
	}{
		"none": {nil, nil},
		"docker": {dockers(), []string{
			"deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 1:5 rwm", "allow c 1:7 rwm",
			"allow c 1:8 rwm", "allow c 1:9 rwm", "allow c 5:0 rwm", "allow c 5:1 rwm", "allow c 5:2 rwm", "allow c 136:* rwm",
		}},
		"what comes before all": {
			[]specs.LinuxDeviceCgroup{item(true, "c", 1, 3, "r"), item(true, "a", -1, -1, "mwr"), item(false, "b", 8, 0, "w")},
			[]string{"allow a", "deny b 8:0 w"},
		},
		"both kinds": {
			[]specs.LinuxDeviceCgroup{item(true, "a", 1, 3, "rw"), item(false, "", -1, -1, "m")},
			[]string{"allow b 1:3 rw", "allow c 1:3 rw", "deny b *:* m", "deny c *:* m"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := Parse(c.list)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rules {
				for _, line := range r.v1() {
					got = append(got, map[bool]string{true: "allow ", false: "deny "}[r.allow]+line)
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestInvalidDeviceRules(t *testing.T) {
	for name, d := range map[string]specs.LinuxDeviceCgroup{
		"type": item(true, "u", 1, 3, "r"), "no access": item(true, "c", 1, 3, ""), "access": item(true, "c", 1, 3, "rx"),
		"access twice": item(true, "c", 1, 3, "rr"), "large": item(true, "c", 1<<31, 3, "r"),
		"negative": {Type: "c", Major: new(int64(-2)), Access: "r"},
	} {
		if _, err := Parse([]specs.LinuxDeviceCgroup{d}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// access is the kernel's struct bpf_cgroup_dev_ctx.
type access struct{ accessType, major, minor uint32 }

// runDevice executes a device program. It knows the instructions that programs use.
func runDevice(t *testing.T, prog []instruction, a access) bool {
	t.Helper()
	var r [11]uint64
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		dst, src := in.regs&15, in.regs>>4
		jump := false
		switch in.code {
		case opLoadWord:
			if src != regContext {
				t.Fatalf("%d: load through register %d", pc, src)
			}
			r[dst] = uint64([]uint32{a.accessType, a.major, a.minor}[in.offset/4])
		case opMov:
			r[dst] = uint64(uint32(r[src]))
		case opMovImm:
			r[dst] = uint64(uint32(in.imm))
		case opAndImm:
			r[dst] = uint64(uint32(r[dst]) & uint32(in.imm))
		case opShrImm:
			r[dst] = uint64(uint32(r[dst]) >> in.imm)
		case opJneImm:
			jump = r[dst] != uint64(int64(in.imm))
		case opJeqImm:
			jump = r[dst] == uint64(int64(in.imm))
		case opJne:
			jump = r[dst] != r[src]
		case opExit:
			return r[0] == 1
		default:
			t.Fatalf("%d: code %#x", pc, in.code)
		}
		if jump {
			pc += int(in.offset)
		}
	}
	t.Fatal("ran off the end")
	return false
}

// meant is what rules mean for an access of kind letters.
func meant(rules Rules, kind byte, major, minor int64, letters string) bool {
	for _, r := range slices.Backward(rules) {
		if r.kind != 'a' && r.kind != kind || r.major >= 0 && r.major != major || r.minor >= 0 && r.minor != minor {
			continue
		}
		all, some := true, false
		for _, l := range letters {
			has := slices.Contains([]rune(r.access), l)
			all, some = all && has, some || has
		}
		if r.allow && all || !r.allow && some {
			return r.allow
		}
	}
	return true
}

func TestDeviceProgramDoesWhatRulesMean(t *testing.T) {
	for name, list := range map[string][]specs.LinuxDeviceCgroup{
		"none":   nil,
		"docker": dockers(),
		"all":    {item(true, "a", -1, -1, "rwm")},
		"nested": {
			item(false, "a", -1, -1, "rwm"), item(true, "a", 1, -1, "rw"), item(false, "c", 1, 3, "w"),
			item(true, "b", 8, 0, "r"), item(true, "b", 8, 0, "w"), item(true, "c", -1, 9, "m"),
		},
		"denying":        {item(false, "b", -1, -1, "rw"), item(false, "c", 1, 5, "rwm"), item(true, "c", 1, 5, "r")},
		"replaced":       {item(false, "c", 1, 3, "rwm"), item(true, "a", -1, -1, "rwm"), item(false, "c", 1, 5, "m")},
		"large numbers":  {item(false, "a", -1, -1, "rwm"), item(true, "c", 1<<31-1, 1<<31-1, "rwm")},
		"not everything": {item(false, "a", -1, -1, "rw")},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := Parse(list)
			if err != nil {
				t.Fatal(err)
			}
			prog := rules.program()
			for kind, number := range map[byte]uint32{'b': unix.BPF_DEVCG_DEV_BLOCK, 'c': unix.BPF_DEVCG_DEV_CHAR} {
				for _, dev := range [][2]int64{{1, 3}, {1, 5}, {1, 9}, {8, 0}, {8, 1}, {136, 7}, {1<<31 - 1, 1<<31 - 1}, {0, 0}} {
					for letters, mask := range map[string]uint32{"m": 1, "r": 2, "w": 4, "rw": 6} {
						got := runDevice(t, prog, access{mask<<16 | number, uint32(dev[0]), uint32(dev[1])})
						if want := meant(rules, kind, dev[0], dev[1], letters); got != want {
							t.Errorf("%c %v %s: got %v, want %v", kind, dev, letters, got, want)
						}
					}
				}
			}
		})
	}
}
