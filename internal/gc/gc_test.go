package gc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// graphOf reads nodes like "image a* key b": kind, name (with a star if it is kept), and pairs of kind and name that it needs.
func graphOf(lines ...string) *Graph {
	g := &Graph{}
	for _, line := range lines {
		words := strings.Fields(line)
		name, kept := strings.CutSuffix(words[1], "*")
		n := Node{ID: ID{Kind(words[0]), name}, Kept: kept}
		for i := 2; i < len(words); i += 2 {
			n.Needs = append(n.Needs, ID{Kind(words[i]), words[i+1]})
		}
		g.Add(n)
	}
	return g
}

func names(nodes []Node) string {
	var list []string
	for _, n := range nodes {
		list = append(list, string(n.Kind)+" "+n.Name)
	}
	return strings.Join(list, ", ")
}

func TestLost(t *testing.T) {
	chain := []string{"snapshot top snapshot base data 2", "snapshot base data 1", "data 1", "data 2", "key t snapshot top"}
	tests := []struct {
		name    string
		lines   []string
		dropped []ID
		want    string
	}{
		{"empty", nil, nil, ""},
		{"nothing kept", []string{"blob b"}, nil, "blob b"},
		{"needed", []string{"image i* blob b", "blob b"}, nil, ""},
		{"dropped", []string{"image i* blob b", "blob b"}, []ID{{Image, "i"}}, "blob b, image i"},
		{"shared", []string{"image i* blob b", "image j* blob b blob c", "blob b", "blob c"}, []ID{{Image, "j"}}, "blob c, image j"},
		{"through a chain", append([]string{"container c* key t"}, chain...), nil, ""},
		{"a chain goes whole", append([]string{"container c* key t"}, chain...), []ID{{Container, "c"}}, "container c, data 1, data 2, key t, snapshot base, snapshot top"},
		{"a kept layer keeps what is below", append([]string{"snapshot base* data 1"}, chain...), nil, "data 2, key t, snapshot top"},
		{"what is needed cannot be dropped", []string{"container c* volume v", "volume v*"}, []ID{{Volume, "v"}}, ""},
		{"a circle", []string{"key a key b", "key b key a"}, nil, "key a, key b"},
		{"not in the graph", []string{"image i* blob gone"}, []ID{{Volume, "none"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := names(graphOf(tt.lines...).Lost(tt.dropped...)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAdd(t *testing.T) {
	g := &Graph{}
	id := ID{Blob, "b"}
	g.Add(Node{ID: id, Paths: []string{"/x"}})
	g.Add(Node{ID: id, Paths: []string{"/y"}, Needs: []ID{{Blob, "c"}}, Kept: true})
	g.Add(Node{ID: id})
	n, ok := g.Node(id)
	if !ok || len(n.Paths) != 2 || len(n.Needs) != 1 || !n.Kept || len(g.Nodes()) != 1 {
		t.Errorf("got %+v", n)
	}
	if _, ok := g.Node(ID{Data, "b"}); ok {
		t.Error("another kind is another node")
	}
}

func TestKeep(t *testing.T) {
	g := graphOf("key a blob x", "key b", "blob x", "blob y")
	g.Keep(Key)
	if got := names(g.Lost()); got != "blob y" {
		t.Errorf("got %q", got)
	}
}

// TestLostOfAny drops a random part of random graphs: what is left needs nothing that went, and nothing kept goes.
func TestLostOfAny(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := &Graph{}
		var dropped []ID
		for i := range 20 {
			n := Node{ID: ID{Key, fmt.Sprint(i)}, Kept: r.IntN(4) == 0}
			for range r.IntN(3) {
				n.Needs = append(n.Needs, ID{Key, fmt.Sprint(r.IntN(20))})
			}
			if r.IntN(8) == 0 {
				dropped = append(dropped, n.ID)
			}
			g.Add(n)
		}
		lost := map[ID]bool{}
		for _, n := range g.Lost(dropped...) {
			lost[n.ID] = true
			if n.Kept && !slices.Contains(dropped, n.ID) {
				t.Fatalf("seed %d: %s is kept and went", seed, n.Name)
			}
		}
		for _, n := range g.Nodes() {
			for _, need := range n.Needs {
				if !lost[n.ID] && lost[need] {
					t.Fatalf("seed %d: %s stays and needs %s, which went", seed, n.Name, need.Name)
				}
			}
		}
	}
}

func ExampleGraph_Lost() {
	g := &Graph{}
	g.Add(Node{ID: ID{Image, "app"}, Needs: []ID{{Blob, "base"}, {Blob, "app"}}, Kept: true})
	g.Add(Node{ID: ID{Image, "base"}, Needs: []ID{{Blob, "base"}}, Kept: true})
	g.Add(Node{ID: ID{Blob, "app"}})
	g.Add(Node{ID: ID{Blob, "base"}})
	for _, n := range g.Lost(ID{Image, "app"}) {
		fmt.Println(n.Kind, n.Name)
	}
	// Output:
	// blob app
	// image app
}
