package ssh

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"

	"github.com/kevinburke/ssh_config"
)

// target is where and how one host is reached, as the user's ssh configuration and the fleet say.
type target struct {
	name      string // the fleet's
	host      string // to connect to
	port      int
	user      string
	keys      []string // identity files
	onlyKeys  bool     // IdentitiesOnly
	agent     string   // socket, "" for none
	known     []string // known_hosts files
	alias     string   // HostKeyAlias
	jump      string   // ProxyJump
	timeout   time.Duration
	needsOwn  string // why only the system's ssh can reach it, "" when we can
	strictOff bool   // the configuration switches host key checking off, which we do not follow
}

func (t target) address() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

// resolve asks ssh itself what its configuration says, or reads the file where there is no ssh.
func (d *Dialer) resolve(ctx context.Context, h fleet.Host) (target, error) {
	var settings map[string][]string
	var err error
	if d.Program != "" {
		settings, err = d.ask(ctx, h)
	} else {
		settings, err = d.read(h)
	}
	if err != nil {
		return target{}, err
	}
	t := d.target(h, settings)
	if h.Address != "" {
		t.host = h.Address
	}
	if h.User != "" {
		t.user = h.User
	}
	if h.Port != 0 {
		t.port = h.Port
	}
	return t, nil
}

// ask runs ssh -G, which reads configuration files and connects to nobody.
func (d *Dialer) ask(ctx context.Context, h fleet.Host) (map[string][]string, error) {
	args := []string{"-G"}
	if d.ConfigFile != "" {
		args = append(args, "-F", d.ConfigFile)
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, d.Program, append(args, "--", h.Name)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: the ssh configuration cannot be read: %s", h.Name, strings.TrimSpace(errs.String()))
	}
	settings := map[string][]string{}
	for text := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		settings[key] = append(settings[key], value)
	}
	return settings, nil
}

// read is for machines without ssh: only the settings that matter to us.
func (d *Dialer) read(h fleet.Host) (map[string][]string, error) {
	file := d.ConfigFile
	if file == "" {
		file = filepath.Join(d.Home, ".ssh", "config")
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && d.ConfigFile == "" {
		text, err = nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Usage, "the ssh configuration cannot be read: %v", err)
	}
	config, err := ssh_config.DecodeBytes(text)
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", file, err)
	}
	settings := map[string][]string{}
	for _, key := range []string{"HostName", "Port", "User", "IdentityFile", "IdentitiesOnly", "IdentityAgent", "UserKnownHostsFile", "HostKeyAlias", "ProxyJump", "ProxyCommand", "ConnectTimeout", "StrictHostKeyChecking"} {
		values, err := config.GetAll(h.Name, key)
		if err != nil {
			return nil, fault.New(fault.Usage, "%s: %v", file, err)
		}
		if len(values) > 0 {
			settings[strings.ToLower(key)] = values
		}
	}
	return settings, nil
}

// target picks what we follow out of the settings.
func (d *Dialer) target(h fleet.Host, settings map[string][]string) target {
	first := func(key string) string {
		if v := settings[key]; len(v) > 0 && v[0] != "none" {
			return v[0]
		}
		return ""
	}
	t := target{
		name: h.Name, host: orElse(first("hostname"), h.Name), user: orElse(first("user"), d.User), port: number(first("port"), 22),
		onlyKeys: first("identitiesonly") == "yes", alias: first("hostkeyalias"), jump: first("proxyjump"), agent: d.Agent,
		timeout: time.Duration(number(first("connecttimeout"), 15)) * time.Second,
	}
	t.strictOff = slices.Contains([]string{"no", "off", "false"}, first("stricthostkeychecking"))
	for _, file := range settings["identityfile"] {
		t.keys = append(t.keys, d.path(file, t))
	}
	if len(t.keys) == 0 {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			t.keys = append(t.keys, filepath.Join(d.Home, ".ssh", name))
		}
	}
	switch socket := first("identityagent"); socket {
	case "", "SSH_AUTH_SOCK":
	default:
		t.agent = d.path(socket, t)
	}
	if slices.Contains(settings["identityagent"], "none") {
		t.agent = ""
	}
	t.known = d.knownFiles(settings, t)
	if command := first("proxycommand"); command != "" {
		t.needsOwn = "a ProxyCommand"
	}
	return t
}

// knownFiles lists the files with host keys, the user's first.
func (d *Dialer) knownFiles(settings map[string][]string, t target) []string {
	var files []string
	for _, key := range []string{"userknownhostsfile", "globalknownhostsfile"} {
		for _, value := range settings[key] {
			for file := range strings.FieldsSeq(value) {
				files = append(files, d.path(file, t))
			}
		}
	}
	if len(files) == 0 {
		files = []string{filepath.Join(d.Home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	return files
}

// path writes out what ssh -G leaves in file names.
func (d *Dialer) path(file string, t target) string {
	file = strings.NewReplacer("%d", d.Home, "%u", d.User, "%h", t.host, "%n", t.name, "%r", t.user, "%p", strconv.Itoa(t.port), "%%", "%").Replace(strings.Trim(file, `"`))
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		return filepath.Join(d.Home, rest)
	}
	return file
}

func number(s string, usual int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return usual
	}
	return n
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
