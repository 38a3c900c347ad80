package scan

import (
	"encoding/json"
	"path"
	"strings"

	"staunch/see/scan/jail"
	"staunch/see/scan/proc"
)

// images knows which image a container was made from, where the runtime's own files on this machine tell.
type images struct {
	top   *jail.Root
	known map[string]string // container id to image
	read  bool              // the storage of podman and cri-o was read
}

func (l *look) newImages() *images {
	return &images{top: l.roots.top, known: map[string]string{}}
}

const maxRuntimeFile = 16 << 20

// describe is the container of a place, nil outside of one. An image that no file tells is "".
func (im *images) describe(p proc.Place) *Container {
	if p.Container == "" {
		return nil
	}
	c := &Container{Runtime: p.Runtime, ID: p.Container}
	image, ok := im.known[p.Container]
	if !ok {
		image = im.find(p)
		im.known[p.Container] = image
	}
	c.Image = image
	return c
}

func (im *images) find(p proc.Place) string {
	if strings.ContainsAny(p.Container, "/\x00") || p.Container == ".." {
		return ""
	}
	for _, ask := range []func(string) string{im.docker, im.containerd, im.storage} {
		if image := ask(p.Container); image != "" {
			return image
		}
	}
	return ""
}

// docker keeps Config.Image in the container's own directory.
func (im *images) docker(id string) string {
	var c struct{ Config struct{ Image string } }
	im.decode(path.Join("/var/lib/docker/containers", id, "config.v2.json"), &c)
	return c.Config.Image
}

// containerd's CRI plugin and cri-o note the image's name in the annotations of the bundle that they give to runc.
func (im *images) containerd(id string) string {
	for _, dir := range []string{
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io", "/run/containerd/io.containerd.runtime.v2.task/default",
		"/run/containers/storage/overlay-containers", "/var/lib/containers/storage/overlay-containers",
	} {
		var bundle struct{ Annotations map[string]string }
		file := path.Join(dir, id, "config.json")
		if strings.HasSuffix(dir, "-containers") {
			file = path.Join(dir, id, "userdata/config.json")
		}
		im.decode(file, &bundle)
		for _, key := range []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image-name"} {
			if image := bundle.Annotations[key]; image != "" {
				return image
			}
		}
	}
	return ""
}

// storage is what podman and cri-o keep of all containers of root.
func (im *images) storage(id string) string {
	if !im.read {
		im.read = true
		var all []struct {
			ID       string `json:"id"`
			Metadata string `json:"metadata"`
		}
		im.decode("/var/lib/containers/storage/overlay-containers/containers.json", &all)
		for _, c := range all {
			var m struct {
				Image string `json:"image-name"`
			}
			if json.Unmarshal([]byte(c.Metadata), &m) == nil && m.Image != "" {
				im.known[c.ID] = m.Image
			}
		}
	}
	return im.known[id]
}

// decode reads a JSON file of a runtime; one that is missing, unreadable or of another form tells nothing, and the image stays unknown.
func (im *images) decode(file string, into any) {
	b, err := im.top.Read(file, maxRuntimeFile)
	if err != nil {
		return
	}
	if json.Unmarshal(b, into) != nil {
		return
	}
}
