package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// memory is what ssh said of hosts while its files had one content.
type memory struct {
	Sum   string              `json:"sum"` // of the sources
	Hosts map[string]Settings `json:"hosts"`

	more bool // something was added since it was read
}

const (
	maxHosts  = 20_000
	maxMemory = 64 << 20
)

func (r *Reader) path() string { return filepath.Join(r.Memory, "ssh-settings.json") }

// recall reads the memory, if it is of the files as they are now.
func (r *Reader) recall() {
	r.from = r.sources()
	if r.Memory == "" || !r.from.plain {
		return
	}
	if info, err := os.Stat(r.path()); err != nil || info.Size() > maxMemory {
		return
	}
	text, err := os.ReadFile(r.path())
	if err != nil {
		return
	}
	var m memory
	if json.Unmarshal(text, &m) == nil && m.Sum == r.from.sum {
		r.memory = m
	}
}

func (r *Reader) remember(name string, s Settings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.memory.Hosts == nil {
		r.memory.Hosts = map[string]Settings{}
	}
	if len(r.memory.Hosts) < maxHosts {
		r.memory.Hosts[name], r.memory.more = s, true
	}
}

// Close writes down what was learned, if the files are still the same. What cannot be written is asked again next time.
func (r *Reader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Memory == "" || !r.memory.more || r.sources().sum != r.from.sum {
		return
	}
	r.memory.Sum, r.memory.more = r.from.sum, false
	if text, err := json.Marshal(r.memory); err == nil && len(text) <= maxMemory {
		Save(r.path(), text)
	}
}

// Save writes a file of the user's own that is whole or not there. It is for what can be found out again: an error is no loss.
func Save(path string, text []byte) {
	dir := filepath.Dir(path)
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return
	}
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it was never of use
	}
}

// Sum names everything that the settings come from; "" where they also depend on what is not in files, or there is no ssh to ask.
func (r *Reader) Sum() string {
	if r.Program == "" {
		return ""
	}
	r.once.Do(r.recall)
	if !r.from.plain {
		return ""
	}
	return r.from.sum
}
