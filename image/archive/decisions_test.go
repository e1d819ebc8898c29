package archive

// decision is one that another tool takes otherwise than lrun: what it says when it refuses an archive that lrun accepts, and
// nothing where it accepts one that lrun refuses.
type decision struct{ tool, archive, says, why string }

// decisions are all that there are.
var decisions = []decision{
	{"skopeo", "manifest: layer larger than it is", "", "the size of a layer is not compared"},
	{"skopeo", "manifest: layer smaller than it is", "", "the size of a layer is not compared"},
	{"skopeo", "manifest: layer of negative size", "", "a negative size is an unknown one"},
	{"skopeo", "manifest: layer of an exabyte", "", "the size of a layer is not compared"},
	{"skopeo", "manifest: a layer less than the config says", "", "a copy does not look into the config"},
	{"skopeo", "manifest: a layer more than the config says", "", "a copy does not look into the config"},
	{"skopeo", "manifest: config that is a layer", "", "a copy does not look into the config"},
	{"skopeo", "config: DiffID that is a path", "", "a copy does not look into the config"},
	{"skopeo", "config: DiffID of sha512", "", "a copy does not look into the config"},
	{"skopeo", "config: system with a line break", "", "a copy does not look into the config"},
	{"skopeo", "config: no DiffIDs", "", "a copy does not look into the config"},
	{"skopeo", "archive: index that lies about the manifest", "", "the size of a manifest is not compared"},
	{"skopeo", "archive: index of another version", "", "the version of an index is not looked at"},
	{"skopeo", "docker: layer that is a chain of links", "not a regular file", "one link is followed, but not a second one"},
	{"skopeo", "docker: config with another digest for a name", "", "the name of a config means nothing"},
	{"skopeo", "docker: name that is none", "", "names are read when an image is asked for by its name"},
	{"skopeo", "docker: before 1.10, as it should be", "manifest.json: file does not exist", "there must be a manifest.json, which came with 1.10"},
	{"umoci", "manifest: layer of negative size", "", "a negative size is an unknown one"},
	{"umoci", "manifest: a layer less than the config says", "", "the layers are not counted"},
	{"umoci", "config: system with a line break", "", "images of all systems are unpacked"},
	{"umoci", "archive: index of another version", "", "the version of an index is not looked at"},
	{"umoci", "manifest: plain layer as gzip", "gzip: invalid header", "the media type is believed, not the first bytes"},
	{"umoci", "manifest: plain layer as zstd", "blob is not correct mediatype", "there is no zstd"},
	{"umoci", "manifest: layer of Docker's zstd type", "blob is not correct mediatype", "media types of Docker are not known"},
}
