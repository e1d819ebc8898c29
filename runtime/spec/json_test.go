package spec

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"
)

// What is written can be read, whatever it is.
func TestPartsSurviveTheirRecord(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, part := range []any{Limits{}, Tuning{}, Devices{}, Sharing{}, Security{}, Names{}, UserNamespace{}, Mount{}} {
		kind := reflect.TypeOf(part)
		t.Run(kind.Name(), func(t *testing.T) {
			for range 100 {
				v, ok := quick.Value(kind, r)
				if !ok {
					t.Fatal("no value")
				}
				first, err := json.Marshal(v.Interface())
				if err != nil {
					t.Fatal(err)
				}
				read := reflect.New(kind)
				if err := json.Unmarshal(first, read.Interface()); err != nil {
					t.Fatal(err)
				}
				again, err := json.Marshal(read.Interface())
				if err != nil || string(again) != string(first) {
					t.Fatalf("%s became %s, %v", first, again, err)
				}
			}
		})
	}
}

// A part that says nothing is not in the record at all.
func TestEmptyPartsAreLeftOut(t *testing.T) {
	if b, err := json.Marshal(Settings{Args: []string{"true"}}); string(b) != `{"args":["true"]}` || err != nil {
		t.Errorf("got %s, %v", b, err)
	}
}
