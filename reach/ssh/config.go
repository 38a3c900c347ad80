package ssh

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"staunch/reach/fleet"
	"staunch/reach/ssh/settings"
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
	said, err := d.config().Of(ctx, h.Name)
	if err != nil {
		return target{}, err
	}
	t := d.target(h, said)
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

func (d *Dialer) config() *settings.Reader {
	d.asked.Do(func() {
		d.settings = &settings.Reader{Program: d.Program, File: d.ConfigFile, Home: d.Home, User: d.User, Memory: d.Memory}
	})
	return d.settings
}

// target picks what we follow out of the settings.
func (d *Dialer) target(h fleet.Host, said settings.Settings) target {
	first := func(key string) string {
		if v := said[key]; len(v) > 0 && v[0] != "none" {
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
	for _, file := range said["identityfile"] {
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
	if slices.Contains(said["identityagent"], "none") {
		t.agent = ""
	}
	t.known = d.knownFiles(said, t)
	if command := first("proxycommand"); command != "" {
		t.needsOwn = "a ProxyCommand"
	}
	return t
}

// knownFiles lists the files with host keys, the user's first.
func (d *Dialer) knownFiles(said settings.Settings, t target) []string {
	var files []string
	for _, key := range []string{"userknownhostsfile", "globalknownhostsfile"} {
		for _, value := range said[key] {
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
