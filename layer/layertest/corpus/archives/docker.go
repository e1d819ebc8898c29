package archives

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// docker is a docker-archive while it is made.
type docker struct {
	files  map[string]string
	images []saved
	config string // as a file
	list   string // manifest.json in place of images
	old    map[string]any
}

// saved is an image in manifest.json.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockers are docker-archives. The layers are at 0/layer.tar, 1/layer.tar and so on, as docker save had them for years, but
// with shorter names.
func dockers(add maker) {
	change := func(name string, class error, change func(*docker)) {
		add("docker: "+name, class, picture{docker: change})
	}
	first := func(name string, class error, change func(*saved)) {
		add("docker: "+name, class, picture{docker: func(d *docker) { change(&d.images[0]) }})
	}
	lost, invalid := errdefs.ErrDataLoss, errdefs.ErrInvalidArgument
	change("as it should be", nil, func(*docker) {})
	change("compressed layer", nil, func(d *docker) { d.files["1/layer.tar"] = zipped(d.files["1/layer.tar"]) })
	change("layer that is a link", nil, func(d *docker) {
		d.files["x/layer.tar"], d.files["0/layer.tar"] = d.files["0/layer.tar"], link+"../x/layer.tar"
	})
	change("layer that is a chain of links", nil, func(d *docker) {
		d.files["x/layer.tar"], d.files["y"], d.files["0/layer.tar"] = d.files["0/layer.tar"], link+"x/layer.tar", link+"../y"
	})
	change("layer that is a link out", invalid, func(d *docker) { d.files["0/layer.tar"] = link + "../../../../etc/passwd" })
	change("layer that is a link to nothing", lost, func(d *docker) { d.files["0/layer.tar"] = link + "../2/layer.tar" })
	change("layer that is a link to itself", invalid, func(d *docker) { d.files["0/layer.tar"] = link + "layer.tar" })
	change("layer that is not there", lost, func(d *docker) { delete(d.files, "0/layer.tar") })
	first("layer outside", invalid, func(s *saved) { s.Layers[0] = "../../etc/passwd" })
	first("layer outside, absolute", invalid, func(s *saved) { s.Layers[0] = "/etc/passwd" })
	add("docker: layer that is the manifest", nil, picture{unpacked: lost, docker: func(d *docker) { d.images[0].Layers[0] = "manifest.json" }})
	first("a layer less than the config says", invalid, func(s *saved) { s.Layers = s.Layers[:1] })
	first("a layer more than the config says", invalid, func(s *saved) { s.Layers = append(s.Layers, s.Layers[0]) })
	add("docker: layers in another order", nil, picture{unpacked: lost, docker: func(d *docker) {
		d.images[0].Layers = []string{"1/layer.tar", "0/layer.tar"}
	}})
	add("docker: layer cut", nil, picture{unpacked: lost, docker: func(d *docker) { d.files["0/layer.tar"] = d.files["0/layer.tar"][:700] }})
	first("config that is not there", lost, func(s *saved) { s.Config = "none.json" })
	first("config outside", invalid, func(s *saved) { s.Config = "../etc/passwd" })
	first("config that is a layer", invalid, func(s *saved) { s.Config = "0/layer.tar" })
	first("config without a name", invalid, func(s *saved) { s.Config = "" })
	change("config with another digest for a name", lost, func(d *docker) {
		other := digest.FromString("another").Encoded() + ".json"
		d.files[other], d.images[0].Config = d.config, other
	})
	change("config with any name", nil, func(d *docker) { d.files["c"], d.images[0].Config = d.config, "c" })
	first("line break in the name of the config", invalid, func(s *saved) { s.Config = "c\nlrun: forged" })
	first("line break in the name of a layer", invalid, func(s *saved) { s.Layers[1] = "l\nlrun: forged" })
	first("no name", nil, func(s *saved) { s.RepoTags = nil })
	first("name that is none", invalid, func(s *saved) { s.RepoTags = []string{"UPPER case:1"} })
	change("no image", invalid, func(d *docker) { d.list = "[]" })
	change("list that is none", invalid, func(d *docker) { d.list = "{}" })
	change("list cut", invalid, func(d *docker) { d.list = `[{"Config":` })
	change("image that is null", invalid, func(d *docker) { d.list = "[null]" })
	legacy(change)
}

// legacy are archives of Docker before 1.10, in which each layer was an image.
func legacy(change func(string, error, func(*docker))) {
	invalid := errdefs.ErrInvalidArgument
	old := func(name string, class error, change2 func(*docker)) {
		change("before 1.10, "+name, class, func(d *docker) {
			d.images, d.old = nil, map[string]any{"app": map[string]string{"1": "1"}}
			for i := range 2 {
				parent := ""
				if i > 0 {
					parent = fmt.Sprintf(`"parent":"%d",`, i-1)
				}
				d.files[fmt.Sprint(i, "/json")] = fmt.Sprintf(`{"id":"%d",%s"os":"linux","architecture":"amd64"}`, i, parent)
				d.files[fmt.Sprint(i, "/VERSION")] = "1.0"
			}
			change2(d)
		})
	}
	old("as it should be", nil, func(*docker) {})
	old("parent that is not there", errdefs.ErrDataLoss, func(d *docker) { delete(d.files, "0/json") })
	old("parent that is the child", invalid, func(d *docker) { d.files["0/json"] = `{"id":"0","parent":"1"}` })
	old("parent that is itself", invalid, func(d *docker) { d.files["1/json"] = `{"id":"1","parent":"1"}` })
	old("parent outside", invalid, func(d *docker) { d.files["1/json"] = `{"id":"1","parent":"../../etc"}` })
	old("line break in an id", invalid, func(d *docker) { d.old = map[string]any{"app": map[string]string{"1": "1\nlrun: forged"}} })
	old("line break in a parent", invalid, func(d *docker) { d.files["1/json"] = `{"id":"1","parent":"0\nlrun: forged"}` })
	old("no image", invalid, func(d *docker) { d.old = map[string]any{} })
	old("name that is none", invalid, func(d *docker) { d.old = map[string]any{"UPPER case": map[string]string{"1": "1"}} })
}

// dockerArchive makes the files of a docker-archive.
func (p picture) dockerArchive() map[string]string {
	layers, config := p.parts()
	d := &docker{files: map[string]string{}, config: encode(config)}
	im := saved{RepoTags: []string{"app:1"}, Config: digest.FromString(d.config).Encoded() + ".json"}
	for i, layer := range layers {
		name := fmt.Sprint(i, "/layer.tar")
		d.files[name] = layer
		im.Layers = append(im.Layers, name)
	}
	d.files[im.Config] = d.config
	d.images = []saved{im}
	p.docker(d)
	switch {
	case d.old != nil:
		d.files["repositories"] = encode(d.old)
	case d.list != "":
		d.files["manifest.json"] = d.list
	default:
		d.files["manifest.json"] = encode(d.images)
	}
	return d.files
}

func zipped(data string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := strings.NewReader(data).WriteTo(w); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}
