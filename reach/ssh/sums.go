package ssh

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"staunch/reach/ssh/settings"
)

// remembered is what the sums of one host part were while its file had one state. A wrong memory costs a connection, no more: the host
// takes the sum of what it runs itself, and what is sent is summed again before.
type remembered struct {
	ID    string `json:"id"`
	Sum   string `json:"sum"`
	Quick string `json:"b2"`
}

// fileState names a file's state by what no program can keep while it changes the content. It is settled when the last change is long enough
// ago that the next one will have another time.
func fileState(path string) (id string, settled bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false, nil
	}
	changed := time.Unix(s.Ctim.Unix())
	id = fmt.Sprintf("%s %d %d %d %d %d", path, s.Dev, s.Ino, s.Size, info.ModTime().UnixNano(), changed.UnixNano())
	return id, time.Since(changed) > 2*time.Second, nil
}

func (p *Parts) memory() string { return filepath.Join(p.Memory, "host-parts.json") }

func (p *Parts) memories() map[string]remembered {
	all := map[string]remembered{}
	if p.Memory == "" {
		return all
	}
	text, err := os.ReadFile(p.memory())
	if err != nil || len(text) > 64<<10 || json.Unmarshal(text, &all) != nil || all == nil {
		return map[string]remembered{}
	}
	return all
}

func (p *Parts) recall(name, id string) (Part, bool) {
	m, ok := p.memories()[name]
	if !ok || id == "" || m.ID != id || len(m.Sum) != 64 || len(m.Quick) != 128 {
		return Part{}, false
	}
	return Part{Sum: m.Sum, Quick: m.Quick}, true
}

// remember is of use only: what cannot be written is summed again next time.
func (p *Parts) remember(name, id string, part Part) {
	if p.Memory == "" || id == "" {
		return
	}
	all := p.memories()
	all[name] = remembered{ID: id, Sum: part.Sum, Quick: part.Quick}
	if text, err := json.Marshal(all); err == nil {
		settings.Save(p.memory(), text)
	}
}

func (p *Parts) forget() {
	if p.Memory != "" {
		_ = os.Remove(p.memory()) // what is not there need not be forgotten
	}
}

// State names what Parts would hand out, without reading the programs.
func (p *Parts) State() (string, error) {
	var all string
	for _, arch := range []string{"amd64", "arm64"} {
		name := "staunch-host-linux-" + arch
		if sum, _, ok := embedded(name); ok {
			all += sum + " "
			continue
		}
		id, _, err := fileState(filepath.Join(p.Dir, name))
		if err != nil {
			return "", err
		}
		all += id + " "
	}
	return all, nil
}
