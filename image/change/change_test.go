package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func ExampleApply() {
	var c ocispec.ImageConfig
	err := Apply(&c, []string{
		`ENV PATH=/usr/local/bin:/bin GREETING="hello there"`,
		`WORKDIR /srv`,
		`LABEL motto="$GREETING"`,
		`CMD ["/bin/sh"]`,
	})
	fmt.Println(c.Env, c.WorkingDir, c.Labels, c.Cmd, err)
	// Output: [PATH=/usr/local/bin:/bin GREETING=hello there] /srv map[motto:hello there] [/bin/sh] <nil>
}

// cases are changes, one per line, and the config that they make of an empty one, as JSON; "" is an error.
var cases = []struct{ changes, want string }{
	{`CMD ["/bin/sh", "-c", "a b"]`, `{"Cmd":["/bin/sh","-c","a b"]}`},
	{`cmd echo $HOME "x"`, `{"Cmd":["/bin/sh","-c","echo $HOME \"x\""]}`},
	{`CMD [echo]`, `{"Cmd":["/bin/sh","-c","[echo]"]}`},
	{`CMD ["a", 1]`, ``},
	{`CMD []`, `{}`},
	{`CMD`, ``},
	{"  CMD\t[\"a\"]  ", `{"Cmd":["a"]}`},
	{"CMD a\nCMD b", `{"Cmd":["/bin/sh","-c","b"]}`},
	{`ENTRYPOINT ["/init"]`, `{"Entrypoint":["/init"]}`},
	{`ENTRYPOINT /init`, `{"Entrypoint":["/bin/sh","-c","/init"]}`},

	{`ENV a=1 b="2 3" c=4\ 5 d='6 7'`, `{"Env":["a=1","b=2 3","c=4 5","d=6 7"]}`},
	{`ENV a b  c`, `{"Env":["a=b  c"]}`},
	{`ENV a "b c"`, `{"Env":["a=b c"]}`},
	{"ENV a=1\nENV b=$a/${a}x$$ c=\"$a\" d='$a' e=\\$a\nENV a=2", `{"Env":["a=2","b=1/1x$$","c=1","d=$a","e=$a"]}`},
	{"ENV a=1\nENV a=2 b=$a", `{"Env":["a=2","b=1"]}`},
	{"ENV a=1 e=\nENV b=${a:-x}${n:-y}${n-z} c=${a:+x}${n:+y} d=${e:-w}${e-w}${e+v}${e:+v} f=${n:-${a}} g=${n:-\"} }\"}", `{"Env":["a=1","e=","b=1yz","c=x","d=wv","f=1","g=} }"]}`},
	{`ENV a="x\"y\\z\n"`, `{"Env":["a=x\"y\\z\\n"]}`},
	{`ENV a=b=c`, `{"Env":["a=b=c"]}`},
	{`ENV a=`, `{"Env":["a="]}`},
	{`ENV a=$ b=$1 c=$-`, `{"Env":["a=$","b=$1","c=$-"]}`},
	{`ENV a="it's"`, `{"Env":["a=it's"]}`},
	{`ENV a='b"c'`, `{"Env":["a=b\"c"]}`},
	{`ENV a=b\`, `{"Env":["a=b"]}`},
	{`ENV a`, ``},
	{`ENV =b`, ``},
	{`ENV a=1 b`, ``},
	{`ENV a="b`, ``},
	{`ENV a='b`, ``},
	{`ENV a=${b`, ``},
	{`ENV a=${b:-c`, ``},
	{`ENV a=${}`, ``},
	{`ENV a=${b#c}`, ``},
	{`ENV a=${b:}`, ``},
	{`ENV a=${b:c}`, ``},

	{`LABEL a=1 "b c"="d e" f.g/h='i'`, `{"Labels":{"a":"1","b c":"d e","f.g/h":"i"}}`},
	{"LABEL a=1\nLABEL a=2", `{"Labels":{"a":"2"}}`},
	{`LABEL a b c`, `{"Labels":{"a":"b c"}}`},
	{`LABEL a`, ``},

	{`EXPOSE 80`, `{"ExposedPorts":{"80/tcp":{}}}`},
	{"EXPOSE 80 53/udp 5000-5002/TCP\nEXPOSE 9/sctp", `{"ExposedPorts":{"5000/tcp":{},"5001/tcp":{},"5002/tcp":{},"53/udp":{},"80/tcp":{},"9/sctp":{}}}`},
	{"ENV P=\"1 2\"\nEXPOSE $P", `{"ExposedPorts":{"1/tcp":{},"2/tcp":{}},"Env":["P=1 2"]}`},
	{`EXPOSE 8080:80`, ``},
	{`EXPOSE 65536`, ``},
	{`EXPOSE 80/icmp`, ``},
	{`EXPOSE 80/`, ``},
	{`EXPOSE 9-8`, ``},
	{`EXPOSE -1`, ``},
	{`EXPOSE http`, ``},

	{`VOLUME /data /log`, `{"Volumes":{"/data":{},"/log":{}}}`},
	{`VOLUME ["/a b", "/c"]`, `{"Volumes":{"/a b":{},"/c":{}}}`},
	{"ENV d=/x\nVOLUME $d/y", `{"Env":["d=/x"],"Volumes":{"/x/y":{}}}`},
	{`VOLUME ["/a", 2]`, ``},
	{`VOLUME [""]`, ``},
	{`VOLUME $nothing`, ``},

	{`USER 1000:1000`, `{"User":"1000:1000"}`},
	{"ENV u=me\nUSER ${u}", `{"User":"me","Env":["u=me"]}`},
	{`USER $nobody`, ``},
	{"WORKDIR /a/../b/", `{"WorkingDir":"/b"}`},
	{"WORKDIR a\nWORKDIR b c\nWORKDIR ..", `{"WorkingDir":"/a"}`},
	{"WORKDIR ../../x", `{"WorkingDir":"/x"}`},
	{`WORKDIR ""`, ``},

	{`STOPSIGNAL SIGTERM`, `{"StopSignal":"SIGTERM"}`},
	{`STOPSIGNAL quit`, `{"StopSignal":"quit"}`},
	{`STOPSIGNAL 9`, `{"StopSignal":"9"}`},
	{`STOPSIGNAL SIGRTMIN+3`, `{"StopSignal":"SIGRTMIN+3"}`},
	{`STOPSIGNAL RTMAX`, `{"StopSignal":"RTMAX"}`},
	{`STOPSIGNAL SIGRTMAX-14`, `{"StopSignal":"SIGRTMAX-14"}`},
	{`STOPSIGNAL SIGRTMAX-15`, ``},
	{`STOPSIGNAL SIGRTMIN-1`, ``},
	{`STOPSIGNAL SIGRTMIN+`, ``},
	{`STOPSIGNAL 0`, ``},
	{`STOPSIGNAL 65`, ``},
	{`STOPSIGNAL SIGNONE`, ``},

	{`FROM scratch`, ``},
	{`RUN true`, ``},
	{`SHELL ["/bin/bash"]`, ``},
	{`MAINTAINER me`, ``},
	{`# comment`, ``},
	{``, ``},
}

func TestApply(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.changes, func(t *testing.T) {
			var c ocispec.ImageConfig
			err := Apply(&c, strings.Split(tt.changes, "\n"))
			if tt.want == "" {
				last := tt.changes[strings.LastIndex(tt.changes, "\n")+1:]
				if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), fmt.Sprintf("%q", last)) {
					t.Errorf("got %v, which is not errdefs.ErrInvalidArgument about the change", err)
				}
				return
			}
			got, jsonErr := json.Marshal(c)
			if err != nil || jsonErr != nil || string(got) != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, errors.Join(err, jsonErr), tt.want)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	for change, says := range map[string]string{
		"HEALTHCHECK CMD true": "no daemon",
		"healthcheck NONE":     "no daemon",
		"ONBUILD RUN true":     "Dockerfile of the image above",
	} {
		var c ocispec.ImageConfig
		if err := Apply(&c, []string{change}); !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", change, err)
		}
	}
	for _, change := range []string{"CMD a\nCMD b", "USER a\x00b"} {
		var c ocispec.ImageConfig
		if err := Apply(&c, []string{change}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: %v", change, err)
		}
	}
}

func TestApplyKeeps(t *testing.T) {
	c := ocispec.ImageConfig{
		Env: []string{"A=1", "AB=2"}, WorkingDir: "/w", Labels: map[string]string{"x": "y"},
		Volumes: map[string]struct{}{"/v": {}}, ExposedPorts: map[string]struct{}{"1/tcp": {}}, User: "u",
	}
	if err := Apply(&c, []string{"ENV A=3", "WORKDIR sub", "LABEL z=$A", "VOLUME /n", "EXPOSE 2"}); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(c)
	const want = `{"User":"u","ExposedPorts":{"1/tcp":{},"2/tcp":{}},"Env":["A=3","AB=2"],"Volumes":{"/n":{},"/v":{}},` +
		`"WorkingDir":"/w/sub","Labels":{"x":"y","z":"3"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func FuzzChange(f *testing.F) {
	for _, c := range cases {
		f.Add(c.changes)
	}
	f.Fuzz(func(t *testing.T, changes string) {
		c := ocispec.ImageConfig{Env: []string{"a=1"}}
		err := Apply(&c, strings.Split(changes, "\n"))
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalidArgument) && !errors.Is(err, errdefs.ErrNotImplemented) {
				t.Errorf("%v has no class", err)
			}
			return
		}
		for _, e := range c.Env {
			if i := strings.Index(e, "="); i < 1 {
				t.Errorf("%q in the environment", e)
			}
		}
		if c.WorkingDir != "" && c.WorkingDir[0] != '/' {
			t.Errorf("working directory %q", c.WorkingDir)
		}
	})
}
