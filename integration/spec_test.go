package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A specification of images is a text of lines. Words may be quoted as in Go; # begins a comment.
//
//	image [REF…]              an image begins; without a REF it has no name
//	platform OS/ARCH[/VARIANT]
//	created TIME
//	config JSON               what Docker calls Config
//	onlyhistory N             N entries of history more than layers; negative: fewer
//	lie WHAT                  a wrong digest, size or diffid of the last layer, or a wrong config or manifest
//	layer [gzip|zstd|plain]   a layer begins
//	again N                   the layer number N, from 0, once more
//
// and in a layer, with names as they stand in the tar:
//
//	busybox                   /bin/busybox and its applets, /etc/passwd, /etc/group, /tmp, /root
//	dir NAME [MODE [UID:GID]]
//	file NAME [MODE [UID:GID [CONTENT]]]
//	host NAME MODE PATH       the bytes of a file of the host; a program of PATH without a slash
//	symlink NAME TARGET
//	hardlink NAME TARGET
//	char NAME MAJOR MINOR
//	fifo NAME
//	whiteout NAME
//	opaque DIR
//	xattr NAME KEY VALUE      of the entry before, which has that NAME
//	many N                    N layers in place of this one, each with one file

// imageSpec is an image that is to be made.
type imageSpec struct {
	refs    []string
	config  ocispec.Image
	layers  []*layerSpec
	history int
	lie     string
}

// layerSpec is a layer that is to be made.
type layerSpec struct {
	compression string
	entries     []entry
}

// entry is a line of a layer.
type entry struct {
	kind  string
	words []string
}

// word is a word of the entry after its kind, or the default.
func (e entry) word(i int, otherwise string) string {
	if i < len(e.words) {
		return e.words[i]
	}
	return otherwise
}

func parseSpec(r io.Reader) ([]*imageSpec, error) {
	var images []*imageSpec
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		words, err := split(lines.Text())
		if err == nil && len(words) > 0 {
			if words[0] == "image" {
				images = append(images, newImage(words[1:]))
			} else if len(images) == 0 {
				err = fmt.Errorf("the first line must be an image")
			} else {
				err = images[len(images)-1].set(words[0], words[1:])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return images, lines.Err()
}

func newImage(refs []string) *imageSpec {
	im := &imageSpec{refs: refs}
	im.config.OS, im.config.Architecture = "linux", hostArch()
	return im
}

// set takes in one line.
func (im *imageSpec) set(kind string, words []string) error {
	switch kind {
	case "platform":
		parts := append(strings.Split(words[0], "/"), "")
		im.config.OS, im.config.Architecture, im.config.Variant = parts[0], parts[1], parts[2]
	case "created":
		return json.Unmarshal([]byte(strconv.Quote(words[0])), &im.config.Created)
	case "config":
		return json.Unmarshal([]byte(strings.Join(words, " ")), &im.config.Config)
	case "onlyhistory":
		n, err := strconv.Atoi(words[0])
		im.history = n
		return err
	case "lie":
		im.lie = words[0]
	case "layer":
		im.layers = append(im.layers, &layerSpec{compression: (entry{words: words}).word(0, "gzip")})
	case "again":
		n, err := strconv.Atoi(words[0])
		if err != nil || n >= len(im.layers) {
			return fmt.Errorf("there is no layer %q", words[0])
		}
		im.layers = append(im.layers, im.layers[n])
	case "many":
		return im.many(words[0])
	default:
		if len(im.layers) == 0 {
			return fmt.Errorf("%s: no layer has begun", kind)
		}
		l := im.layers[len(im.layers)-1]
		l.entries = append(l.entries, entry{kind, words})
	}
	return nil
}

func (im *imageSpec) many(count string) error {
	n, err := strconv.Atoi(count)
	compression := im.layers[len(im.layers)-1].compression
	im.layers = im.layers[:len(im.layers)-1]
	for i := range n {
		im.layers = append(im.layers, &layerSpec{compression, []entry{{"file", []string{fmt.Sprintf("many/%d", i)}}}})
	}
	return err
}

// split cuts a line into words; a config line is not cut.
func split(line string) ([]string, error) {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, "config "); ok {
		return []string{"config", rest}, nil
	}
	var words []string
	for line != "" && line[0] != '#' {
		word, rest, _ := strings.Cut(line, " ")
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, err
			}
			rest = line[len(quoted):]
			if word, err = strconv.Unquote(quoted); err != nil {
				return nil, err
			}
		}
		words, line = append(words, word), strings.TrimLeft(rest, " ")
	}
	return words, nil
}

func parseSpecFile(path string) ([]*imageSpec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	images, err := parseSpec(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return slices.Clip(images), nil
}
