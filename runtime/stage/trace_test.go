package stage

import (
	"fmt"
	"math"
	"testing"
)

func TestDecimal(t *testing.T) {
	for _, sign := range []string{"", "+"} {
		for _, n := range []int64{0, 7, 10, 123456, 1234567, 99999999, math.MaxInt64} {
			want := fmt.Sprintf("%7s", sign+fmt.Sprint(n))
			b := builder{b: make([]byte, 64)}
			if b.decimal(sign, n); b.text() != want {
				t.Errorf("decimal(%q, %d) = %q, want %q", sign, n, b.text(), want)
			}
		}
	}
}

func TestEveryOperationHasAName(t *testing.T) {
	for op := OpJoin; op <= OpExec; op++ {
		if op.name() == "" {
			t.Errorf("operation %d has no name", op)
		}
	}
	if got := (OpExec + 1).name(); got != "" {
		t.Errorf("an operation that is none is called %q", got)
	}
}
