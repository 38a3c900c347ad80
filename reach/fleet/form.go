package fleet

import "time"

// form is staunch.yaml as it is written. Tags: yaml is the key ("key,named": a mapping from name to entry, in the file's order),
// doc explains it in the published schema, enum lists its values, is names a rule of shapes() that the text (or each text of a list) keeps,
// min and max bound numbers. Reader, schema and messages all follow from these types.
type form struct {
	spots     `yaml:"-"`
	Rings     []ringForm     `yaml:"rings,named" is:"word" doc:"Stages of a rollout, in this order. Default: canary, staging, production."`
	Hosts     []hostForm     `yaml:"hosts,named" is:"pattern" doc:"Hosts by name; a name may be a pattern such as web[01-20] or db[a-c]."`
	Services  []serviceForm  `yaml:"services,named" is:"word" doc:"What people use, made of units on hosts."`
	Endpoints []endpointForm `yaml:"endpoints,named" is:"visible" doc:"Names that strangers or our own clients connect to."`
	Notify    []string       `yaml:"notify" doc:"Command that tells people something, and its arguments: [/usr/local/bin/page, --team, ops]. No shell; docs/notify.md says what it gets."`
	Alone     time.Duration  `yaml:"alone" doc:"How long a plan waits after the vote of a team of one, so that somebody else can object. Default 10m."`
	Keep      time.Duration  `yaml:"keep" doc:"How long a login for questions is kept after its last use, so that the next scan needs none. 0: not at all; at most 1h. Default 1m."`
}

type ringForm struct {
	Name   string `yaml:"-"`
	spots  `yaml:"-"`
	Width  Width         `yaml:"width" doc:"How many of its hosts at once: a number, or a percentage such as 25%. Default 1."`
	Soak   time.Duration `yaml:"soak" doc:"How long changed hosts are watched before the next ones, such as 10m."`
	Quorum int           `yaml:"quorum" min:"1" max:"100" doc:"Signatures that a plan for this ring needs. Default 1."`
}

type hostForm struct {
	Name    string `yaml:"-"`
	spots   `yaml:"-"`
	Address string            `yaml:"address" doc:"Where it answers; {name} stands for the host's name. Default: its name."`
	Port    int               `yaml:"port" min:"1" max:"65535" doc:"Port of sshd. Default: what the ssh configuration says, else 22."`
	User    string            `yaml:"user" is:"user" doc:"User to log in as. Default: what the ssh configuration says."`
	Ring    string            `yaml:"ring" is:"word" doc:"Its ring. Default: production, or else the last one."`
	Labels  map[string]string `yaml:"labels" doc:"Labels: a list of words, or a mapping from label to value."`
	System  string            `yaml:"system" doc:"Its operating system, only where it is not Linux with systemd: such a host is listed as not covered."`
	Hook    string            `yaml:"restart_hook" is:"hook" doc:"Host-side hook that restarts a host which is not covered: nothing else does."`
	HookOn  string            `yaml:"restart_on" is:"name" doc:"The covered host whose hook that is; it is told HOST=name. Default: the host itself (Linux without systemd)."`
	Via     string            `yaml:"via" enum:"ssh,system-ssh,agent,local,none" doc:"How it is reached. Default ssh."`
}

type serviceForm struct {
	Name    string `yaml:"-"`
	spots   `yaml:"-"`
	On      string     `yaml:"on" doc:"Selector of its hosts, such as web, or ring=production & db. Needed."`
	Units   []string   `yaml:"units" is:"unit" doc:"systemd units with their suffix, such as nginx.service."`
	Restart string     `yaml:"restart" enum:"restart,reload,reboot,person,hook:*" doc:"How it gets onto new code: restart (default), reload, hook:NAME, reboot, or person."`
	Health  healthForm `yaml:"health" doc:"How to tell that it serves on one host."`
	Drain   string     `yaml:"drain" is:"hook" doc:"Host-side hook that takes a host out of service."`
	Undrain string     `yaml:"undrain" is:"hook" doc:"Host-side hook that puts it back."`
	MaxDown Width      `yaml:"max_down" doc:"How many of its hosts may be down at once: a number or a percentage. Default 1."`
	Holds   []string   `yaml:"holds" doc:"What data it holds, in words for the report."`
	Owner   string     `yaml:"owner" doc:"Who answers for it."`
	Vendor  string     `yaml:"vendor" doc:"Whom to ask for a fixed version, where somebody else makes it: a mail address, a telephone number."`
	Public  bool       `yaml:"public" doc:"Strangers can reach it: it comes first."`
	Replica bool       `yaml:"replica" doc:"These hosts follow another: they come before their primary."`
	Follows string     `yaml:"follows" is:"hook" doc:"Host-side hook of a replica that ends with 0 when it follows its primary. Without it a person is asked before the primary's turn."`
}

type healthForm struct {
	Unit   string        `yaml:"unit" is:"unit" doc:"This unit is active."`
	TCP    string        `yaml:"tcp" is:"hostport" doc:"This host:port accepts; {host} stands for the host's address."`
	URL    string        `yaml:"url" is:"url" doc:"This URL answers; {host} stands for the host's address."`
	Hook   string        `yaml:"hook" is:"hook" doc:"This host-side hook ends with 0."`
	Status int           `yaml:"status" min:"100" max:"599" doc:"With url: the status it must answer. Default: any of 200-399."`
	Within time.Duration `yaml:"within" doc:"Well until then, or failed. Default 30s."`
}

type endpointForm struct {
	Name       string `yaml:"-"`
	spots      `yaml:"-"`
	Addresses  []string `yaml:"addresses" is:"hostport" doc:"host:port, one for each address that must be proven. Default: NAME:443."`
	SNI        string   `yaml:"sni" doc:"Server name to ask for. Default: the endpoint's name, where it looks like a host name."`
	StartTLS   string   `yaml:"starttls" enum:"smtp,lmtp,imap,pop3,ftp,sieve,nntp,xmpp-client,xmpp-server,ldap,postgres,mysql" doc:"Protocol that turns to TLS."`
	XMPPDomain string   `yaml:"xmpp_domain" doc:"With starttls xmpp-client or xmpp-server: the domain."`
	Service    string   `yaml:"service" doc:"The service behind it."`
	Internal   bool     `yaml:"internal" doc:"Only our own clients reach it. Default: strangers do."`
	Behind     string   `yaml:"behind" doc:"The CDN or balancer that answers there."`
	Pins       []string `yaml:"pins" is:"sha256" doc:"Hex SHA-256 of public keys (SPKI) that clients have pinned."`
	TLSA       []string `yaml:"tlsa" doc:"TLSA records in DNS, such as 3 1 1 HEX."`
}

// spot is a place in the file.
type spot struct{ line, column int }

// spots remember where an entry and its values stand.
type spots struct {
	at     spot // of its name
	values map[string]spot
}

func (s *spots) put(at spot) { s.at = at }

func (s *spots) note(key string, at spot) {
	if s.values == nil {
		s.values = map[string]spot{}
	}
	s.values[key] = at
}

// of is where the value of a key stands, or else the entry's name.
func (s *spots) of(key string) spot {
	if at, has := s.values[key]; has {
		return at
	}
	return s.at
}

func (s *spots) has(key string) bool {
	_, has := s.values[key]
	return has
}
