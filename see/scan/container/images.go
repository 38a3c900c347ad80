package container

import (
	"encoding/json"
	"path"
	"strings"

	"staunch/see/scan/jail"
)

// Images knows which image a container was made from, where the runtime's own files on this machine tell. It is for one goroutine.
type Images struct {
	top    *jail.Root
	known  map[string]string // container id to image
	stores map[string]bool   // files of podman's and cri-o's storage that were read
}

// NewImages looks for the files of runtimes below top, which is the machine's own root.
func NewImages(top *jail.Root) *Images {
	return &Images{top: top, known: map[string]string{}, stores: map[string]bool{}}
}

const (
	maxFile = 16 << 20
	maxDirs = 4096
)

// Of is the image of a container, as its runtime names it; "" where no file tells.
func (im *Images) Of(id string) string {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\x00") {
		return ""
	}
	image, ok := im.known[id]
	if !ok {
		image = im.find(id)
		im.known[id] = image
	}
	return image
}

// find asks the files of each runtime where they usually lie, then where the low-level runtime says that this container's are.
func (im *Images) find(id string) string {
	if image := im.docker("/var/lib/docker", id); image != "" {
		return image
	}
	bundles := im.below("/run/containerd/io.containerd.runtime.v2.task", id)
	bundles = append(bundles, im.below("/run/docker/containerd/daemon/io.containerd.runtime.v2.task", id)...)
	for _, driver := range drivers() {
		bundles = append(bundles, path.Join("/var/lib/containers/storage", driver+"-containers", id, "userdata"))
	}
	for _, dir := range append(bundles, im.stated(id)...) {
		if image := im.bundle(dir, id); image != "" {
			return image
		}
	}
	return ""
}

// drivers are the kinds of storage of podman and cri-o, which is how they name its directories.
func drivers() []string { return []string{"overlay", "vfs", "btrfs", "zfs"} }

// below are the directories of a container below any namespace of containerd.
func (im *Images) below(dir, id string) []string {
	names, _, err := im.top.Names(dir, maxDirs)
	if err != nil {
		return nil // not there
	}
	for i, name := range names {
		names[i] = path.Join(dir, name, id)
	}
	return names
}

// stated asks runc and crun, which every runtime calls, for the directory that they were given for a container.
func (im *Images) stated(id string) []string {
	homes := []string{"/run/runc", "/run/crun", "/run/docker/runtime-runc/moby"}
	homes = append(homes, im.below("/run/containerd/runc", "")...)
	for _, user := range im.below("/run/user", "") {
		homes = append(homes, path.Join(user, "runc"), path.Join(user, "crun"))
	}
	var out []string
	for _, home := range homes {
		var runc struct {
			Config struct {
				Labels []string `json:"labels"`
			} `json:"config"`
		}
		im.decode(path.Join(home, id, "state.json"), &runc)
		for _, label := range runc.Config.Labels {
			if dir, ok := strings.CutPrefix(label, "bundle="); ok {
				out = append(out, dir)
			}
		}
		var crun struct {
			Bundle string `json:"bundle"`
		}
		if im.decode(path.Join(home, id, "status"), &crun); crun.Bundle != "" {
			out = append(out, crun.Bundle)
		}
	}
	return out
}

// bundle asks what a container's directory tells: the annotations of containerd's CRI plugin, cri-o and nerdctl, podman's and cri-o's
// storage around it, and docker's directory that its settings lead to.
func (im *Images) bundle(dir, id string) string {
	if storage := path.Join(dir, "../.."); path.Base(dir) == "userdata" {
		if image := im.storage(path.Join(storage, "containers.json"), id); image != "" {
			return image
		}
	}
	var b struct {
		Annotations map[string]string `json:"annotations"`
		Mounts      []struct {
			Destination string `json:"destination"`
			Source      string `json:"source"`
		} `json:"mounts"`
	}
	im.decode(path.Join(dir, "config.json"), &b)
	for _, key := range []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image-name"} {
		if image := b.Annotations[key]; image != "" {
			return image
		}
	}
	for _, m := range b.Mounts {
		if data, ok := strings.CutSuffix(m.Source, path.Join("/containers", id, "hostname")); ok && m.Destination == "/etc/hostname" {
			return im.docker(data, id)
		}
	}
	return ""
}

// docker keeps Config.Image in the container's own directory.
func (im *Images) docker(data, id string) string {
	var c struct{ Config struct{ Image string } }
	im.decode(path.Join(data, "containers", id, "config.v2.json"), &c)
	return c.Config.Image
}

// storage is what podman and cri-o keep of all containers of one user.
func (im *Images) storage(file, id string) string {
	if !im.stores[file] {
		im.stores[file] = true
		var all []struct {
			ID       string `json:"id"`
			Metadata string `json:"metadata"`
		}
		im.decode(file, &all)
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
func (im *Images) decode(file string, into any) {
	b, err := im.top.Read(file, maxFile)
	if err != nil {
		return
	}
	if json.Unmarshal(b, into) != nil {
		return
	}
}
