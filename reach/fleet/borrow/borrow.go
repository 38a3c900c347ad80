// Package borrow reads the inventories that a team already has, so that it can start in an emergency without a staunch.yaml.
package borrow

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/pattern"
	"staunch/reach/fleet"
)

// File reads the inventory in a file, whatever kind it is of (see Read). A file that is not there is NotFound.
func File(name string) (*fleet.Fleet, error) {
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "there is no inventory %s", name)
	case err != nil:
		return nil, fault.New(fault.Denied, "the inventory: %v", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fault.New(fault.Usage, "the inventory %s is a directory", name).Hinted("name a file in it, or what this prints: ansible-inventory -i %s --list", name)
	}
	return Stream(f, name)
}

// Stream reads an inventory that is not a file of its own; name is for messages, and for telling of which kind it is.
func Stream(from io.Reader, name string) (*fleet.Fleet, error) {
	text, err := io.ReadAll(io.LimitReader(from, fleet.MaxBytes+1))
	if err != nil {
		return nil, fault.New(fault.Denied, "the inventory %s: %v", name, err)
	}
	return Read(text, name, Disk())
}

// Read reads staunch.yaml, an Ansible inventory (INI, YAML, the JSON of ansible-inventory --list or of an inventory script), an ssh
// configuration, or a plain list of names. The kind is told by the content, and by the name where the content leaves it open. Text
// that names no host at all is an error unless it is a staunch.yaml: a file of another kind must not look like an empty fleet.
func Read(text []byte, name string, files Files) (*fleet.Fleet, error) {
	if len(text) > fleet.MaxBytes {
		return nil, fault.New(fault.Full, "%s has over %d bytes, more are not read", name, fleet.MaxBytes)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	read := kind(text, path.Base(name))
	if read == nil {
		return fleet.Read(text, name)
	}
	f, err := read(text, name, files)
	if err == nil && len(f.Hosts) == 0 {
		return nil, fault.New(fault.NotFound, "%s names no host", name).Hinted("read are: staunch.yaml, an Ansible inventory (INI, YAML, or the output of ansible-inventory --list), an ssh configuration, a list of names")
	}
	return f, err
}

// reading is how one kind of inventory is read.
type reading func(text []byte, name string, files Files) (*fleet.Fleet, error)

// alone is a reading that includes no other files.
func alone(read func([]byte, string) (*fleet.Fleet, error)) reading {
	return func(text []byte, name string, _ Files) (*fleet.Fleet, error) { return read(text, name) }
}

// kind tells how the text is to be read; nil: it is a staunch.yaml.
func kind(text []byte, base string) reading {
	yamlName := strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml")
	isJSON := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
	switch {
	case yamlName && strings.HasPrefix(base, "staunch"):
		return nil
	case isJSON && !ours(text):
		return alone(AnsibleJSON)
	case isJSON:
		return nil
	case yamlName || looksYAML.Match(text):
		if ours(text) {
			return nil
		}
		return alone(AnsibleYAML)
	case base == "config" || base == "ssh_config" || looksSSH.Match(text):
		return SSHConfig
	case looksINI.Match(text):
		return alone(AnsibleINI)
	}
	return alone(fleet.List)
}

// ours tells that YAML holds no group of Ansible's at all: then it is a staunch.yaml, whose reader says best what is wrong with it.
func ours(text []byte) bool {
	var top map[string]any
	if decoded(text, "", &top) != nil {
		return !looksGroup.Match(text)
	}
	for name, value := range top {
		_, list := value.([]any) // as old inventory scripts write groups
		if name == "_meta" || isGroup(value) || list && !slices.Contains(fleet.Keys(), name) {
			return false
		}
	}
	return true
}

func isGroup(value any) bool {
	keys, is := value.(map[string]any)
	return is && slices.ContainsFunc([]string{"hosts", "children", "vars"}, func(k string) bool { _, has := keys[k]; return has })
}

var (
	looksYAML  = pattern.New(`(?m)^("?[A-Za-z0-9_-]+"?):[ \t]*(#.*)?\n[ \t]+\S+:`)
	looksGroup = pattern.New(`(?m)^[A-Za-z0-9_-]+:[ \t]*(#.*)?\n\s+(hosts|children|vars):`)
	looksSSH   = pattern.New(`(?mi)^\s*(host|match)\s+\S`)
	looksINI   = pattern.New(`(?m)^\s*(\[[^\]]+\]\s*(#.*)?$|\S+\s+\S+=\S)`)
)

// Disk is this machine's files.
func Disk() Files { return Files{Read: os.ReadFile, Glob: filepath.Glob} }
