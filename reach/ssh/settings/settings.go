// Package settings is what the user's ssh configuration says of a host: ssh itself is asked, and its answer remembered for as long as
// every file that it came from has the same content.
package settings

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"staunch/fault"
	"staunch/tame"

	"github.com/kevinburke/ssh_config"
)

// Settings are values by lower-case keyword, in the order in which ssh heeds them.
type Settings map[string][]string

// keywords are the settings that are followed; the rest of what ssh says is not kept.
func keywords() []string {
	return []string{
		"HostName", "Port", "User", "IdentityFile", "IdentitiesOnly", "IdentityAgent", "UserKnownHostsFile", "GlobalKnownHostsFile", "HostKeyAlias", "ProxyJump",
		"ProxyCommand", "ConnectTimeout", "StrictHostKeyChecking",
	}
}

// Reader reads the configuration for many hosts. Its fields are set before the first use; it is safe for concurrent use.
type Reader struct {
	Program string // the machine's ssh, "" when there is none: then the user's file is read by ourselves
	File    string // configuration instead of the user's own
	Home    string
	User    string // who asks
	Memory  string // directory that remembers what ssh said, "" for none

	once   sync.Once
	from   sources
	mu     sync.Mutex
	memory memory
}

// Of returns the settings of one host.
func (r *Reader) Of(ctx context.Context, name string) (Settings, error) {
	if r.Program == "" {
		return r.read(name)
	}
	r.once.Do(r.recall)
	r.mu.Lock()
	known, ok := r.memory.Hosts[name]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	got, files, err := r.ask(ctx, name)
	if err != nil {
		return nil, err
	}
	if r.from.plain && r.from.same(files) {
		r.remember(name, got)
	}
	return got, nil
}

// ask runs ssh -G, which reads configuration files and connects to nobody. It also returns the files that ssh says it read.
func (r *Reader) ask(ctx context.Context, name string) (Settings, []string, error) {
	args := []string{"-v", "-G"}
	if r.File != "" {
		args = append(args, "-F", r.File)
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, r.Program, append(args, "--", name)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	files, words := readFiles(errs.String())
	if err != nil {
		return nil, nil, fault.New(fault.Usage, "%s: the ssh configuration cannot be read: %s", name, tame.Short(words, 1000))
	}
	said := Settings{}
	for text := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		said[key] = append(said[key], value)
	}
	return said.only(), files, nil
}

// readFiles parts what ssh says of the files that it reads from other words.
func readFiles(said string) (files []string, words string) {
	var rest []string
	for text := range strings.Lines(said) {
		text = strings.TrimSpace(text)
		about, debug := strings.CutPrefix(text, "debug1: ")
		if file, reads := strings.CutPrefix(about, "Reading configuration data "); debug && reads {
			files = append(files, file)
		}
		if !debug && text != "" && !strings.HasPrefix(text, "OpenSSH_") {
			rest = append(rest, text)
		}
	}
	return files, strings.Join(rest, "; ")
}

func (s Settings) only() Settings {
	some := Settings{}
	for _, word := range keywords() {
		key := strings.ToLower(word)
		if values, has := s[key]; has {
			some[key] = values
		}
	}
	return some
}

// read is for machines without ssh: only the settings that matter to us.
func (r *Reader) read(name string) (Settings, error) {
	file := r.File
	if file == "" {
		file = filepath.Join(r.Home, ".ssh", "config")
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && r.File == "" {
		text, err = nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Usage, "the ssh configuration cannot be read: %v", err)
	}
	config, err := ssh_config.DecodeBytes(text)
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", file, err)
	}
	got := Settings{}
	for _, key := range keywords() {
		values, err := config.GetAll(name, key)
		if err != nil {
			return nil, fault.New(fault.Usage, "%s: %v", file, err)
		}
		if len(values) > 0 {
			got[strings.ToLower(key)] = values
		}
	}
	return got, nil
}
