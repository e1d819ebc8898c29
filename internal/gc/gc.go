// Package gc is the graph of what a root holds. The stores add nodes, what those need, and what is kept for its own
// sake; what nothing kept needs can go. It reads no disk and deletes nothing.
package gc

import (
	"maps"
	"slices"
	"strings"
)

// Kind is what a node is.
type Kind string

// The kinds. A key stands for the snapshots of that key, whichever drivers have some.
const (
	Container Kind = "container" // by its id
	Image     Kind = "image"     // by its ID
	Volume    Kind = "volume"    // by its name
	Blob      Kind = "blob"      // by its digest
	Key       Kind = "key"
	Snapshot  Kind = "snapshot" // by driver/key
	Data      Kind = "data"     // by driver/id
	Staging   Kind = "staging"  // what is on its way in or out, by its path
	KeptBlob  Kind = "kept"     // a blob for a later try to load its image, by its digest
)

// ID names a node: no two of one kind have the same name.
type ID struct {
	Kind Kind
	Name string
}

// Node is one thing.
type Node struct {
	ID
	// Paths are the files and directories that are the node's alone, all below them included; one that is missing has no bytes.
	Paths []string
	// Disk is how many bytes Paths take on disk, if that was written down when they were made; 0: whoever wants to know has to count.
	Disk int64
	// Needs are what has to stay as long as the node does. What is not in the graph is not there to be kept.
	Needs []ID
	// Kept says that the node stays although nothing needs it: a user made it, or a living process is at work on it.
	Kept bool
}

// Graph is a set of nodes. The zero value is empty.
type Graph struct{ nodes map[ID]*Node }

// Add adds a node, or to a node that is there already.
func (g *Graph) Add(n Node) {
	if g.nodes == nil {
		g.nodes = map[ID]*Node{}
	}
	have, ok := g.nodes[n.ID]
	if !ok {
		g.nodes[n.ID] = &n
		return
	}
	have.Paths = append(have.Paths, n.Paths...)
	have.Needs = append(have.Needs, n.Needs...)
	have.Kept = have.Kept || n.Kept
	have.Disk = max(have.Disk, n.Disk)
}

// Keep keeps all nodes of a kind, because it is not known what needs them.
func (g *Graph) Keep(kind Kind) {
	for id, n := range g.nodes {
		n.Kept = n.Kept || id.Kind == kind
	}
}

// Node returns the node id, and whether there is one.
func (g *Graph) Node(id ID) (Node, bool) {
	n, ok := g.nodes[id]
	if !ok {
		return Node{}, false
	}
	return *n, true
}

// Nodes returns all nodes in the order of their kinds and names.
func (g *Graph) Nodes() []Node {
	return sorted(slices.AppendSeq(make([]*Node, 0, len(g.nodes)), maps.Values(g.nodes)))
}

// KeptBlobs returns the nodes of the kind KeptBlob that are kept, in the order of their names.
func (g *Graph) KeptBlobs() []ID {
	var list []ID
	for _, n := range g.Nodes() {
		if n.Kind == KeptBlob && n.Kept {
			list = append(list, n.ID)
		}
	}
	return list
}

// Reach returns the nodes of the graph that those in from need, directly or not, and from itself.
func (g *Graph) Reach(from ...ID) map[ID]bool {
	seen := map[ID]bool{}
	for n := range g.reach(from) {
		seen[n.ID] = true
	}
	return seen
}

// reach is Reach without the names, which are long.
func (g *Graph) reach(from []ID) map[*Node]bool {
	seen := make(map[*Node]bool, len(g.nodes))
	todo := slices.Clone(from)
	for len(todo) > 0 {
		n := g.nodes[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if n != nil && !seen[n] {
			seen[n] = true
			todo = append(todo, n.Needs...)
		}
	}
	return seen
}

// Lost returns, in the order of kinds and names, the nodes that can go when dropped are not kept any more. Without
// any they are what killed processes have left. A node in dropped that something kept needs is not among them.
func (g *Graph) Lost(dropped ...ID) []Node {
	goes := make(map[ID]bool, len(dropped))
	for _, id := range dropped {
		goes[id] = true
	}
	var kept []ID
	for id, n := range g.nodes {
		if n.Kept && !goes[id] {
			kept = append(kept, id)
		}
	}
	live := g.reach(kept)
	var lost []*Node
	for _, n := range g.nodes {
		if !live[n] {
			lost = append(lost, n)
		}
	}
	return sorted(lost)
}

func sorted(nodes []*Node) []Node {
	slices.SortFunc(nodes, func(a, b *Node) int {
		if a.Kind != b.Kind {
			return strings.Compare(string(a.Kind), string(b.Kind))
		}
		return strings.Compare(a.Name, b.Name)
	})
	list := make([]Node, len(nodes))
	for i, n := range nodes {
		list[i] = *n
	}
	return list
}
