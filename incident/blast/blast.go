// Package blast tells which keys and secrets affected processes had in reach, and where else these are used: by hashes and names, never values.
package blast

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"staunch/phrase"
	"staunch/reach/fleet"
	"staunch/see/keys"
)

// Radius is which keys and secrets affected processes could see, and what else hangs on them. It holds hashes and names, never values.
type Radius struct {
	Keys     []Key     `json:"keys"`
	Secrets  []Secret  `json:"secrets"`
	Services []Service `json:"services,omitempty"` // services with affected units, and what data they hold
	Unseen   []string  `json:"unseen,omitempty"`   // what could not be looked at, a sentence each
	Hosts    int       `json:"hosts"`              // hosts that were looked at
	Looked   []string  `json:"looked,omitempty"`   // their names
}

// Key is a key pair whose private half an affected process had in reach.
type Key struct {
	SPKI      string   `json:"spki_sha256"`
	Type      string   `json:"type"`
	Names     []string `json:"names,omitempty"`     // of its certificates
	Readers   []string `json:"readers"`             // "web1 nginx.service"
	How       []string `json:"how"`                 // why we think so
	Files     []string `json:"files"`               // "web1:/etc/ssl/private/shop.key"
	Also      []string `json:"also_on,omitempty"`   // hosts that hold the same key without an affected process
	Endpoints []string `json:"endpoints,omitempty"` // public names that served this key when they were probed
	Clients   []string `json:"pinned_by,omitempty"` // endpoints whose clients pinned it: a new key breaks them
	Encrypted bool     `json:"encrypted,omitempty"` // encrypted at rest: which key it is cannot be told from outside
}

// Secret is a secret by its name.
type Secret struct {
	Kind    keys.SecretKind `json:"kind"`
	Name    string          `json:"name"`
	Where   string          `json:"where"`
	Readers []string        `json:"readers"`
}

// Service is a service with affected units.
type Service struct {
	Service string   `json:"service"`
	Owner   string   `json:"owner,omitempty"`
	Holds   []string `json:"holds,omitempty"`
	Hosts   []string `json:"hosts"`
}

// Traces is what a blast radius is computed from.
type Traces struct {
	Found    map[string]*keys.Found     // by host
	Affected map[string]map[string]bool // host to affected units; "" stands for processes without a unit
	PIDs     map[string]map[int]bool    // host to affected processes
	Fleet    *fleet.Fleet
	Serves   map[string][]string // SPKI to the endpoints and sockets that served it, from probes
	Unserved []string            // endpoints and sockets that could not be asked, a sentence each
	Failed   map[string]string   // hosts that could not be asked, with the reason
}

// Of computes the radius. Every key that an affected process had in reach counts, whether it was used or not.
func Of(t Traces) Radius {
	b := Radius{Keys: []Key{}, Secrets: []Secret{}, Hosts: len(t.Found), Looked: slices.Sorted(maps.Keys(t.Found))}
	lost, secrets := map[string]*Key{}, map[string]*Secret{}
	for _, host := range slices.Sorted(maps.Keys(t.Found)) {
		f := t.Found[host]
		for i := range f.Keys {
			t.key(host, &f.Keys[i], lost)
		}
		for i := range f.Secrets {
			t.secret(host, &f.Secrets[i], secrets)
		}
		for _, u := range f.Unseen {
			b.Unseen = merge(b.Unseen, []string{strings.TrimSpace(fmt.Sprintf("%s: %s %s", host, cmp.Or(u.Path, fmt.Sprintf("process %d:", u.PID)), u.Reason))})
		}
	}
	for _, host := range slices.Sorted(maps.Keys(t.Failed)) {
		b.Unseen = append(b.Unseen, host+": "+strings.TrimPrefix(t.Failed[host], host+": "))
	}
	b.Unseen = append(b.Unseen, t.Unserved...)
	t.also(lost)
	for _, id := range slices.Sorted(maps.Keys(lost)) {
		b.Keys = append(b.Keys, *lost[id])
	}
	for _, id := range slices.Sorted(maps.Keys(secrets)) {
		b.Secrets = append(b.Secrets, *secrets[id])
	}
	b.Services = t.services()
	return b
}

// reader names an affected process among readers, or "".
func (t Traces) reader(host string, r keys.Reader) string {
	if !t.PIDs[host][r.PID] && (r.Unit == "" || !t.Affected[host][r.Unit]) {
		return ""
	}
	return host + " " + cmp.Or(r.Unit, r.Name)
}

func (t Traces) key(host string, k *keys.Key, lost map[string]*Key) {
	if !k.Private {
		return
	}
	var who, how []string
	for _, r := range k.Readers {
		if name := t.reader(host, r); name != "" {
			who, how = append(who, name), append(how, cmp.Or(r.Says, r.How))
		}
	}
	if len(who) == 0 {
		return
	}
	id := k.SPKI
	if id == "" {
		id = "encrypted " + host + ":" + k.Files[0].Path
	}
	l := lost[id]
	if l == nil {
		l = &Key{SPKI: k.SPKI, Type: keyType(k), Encrypted: k.Encrypted, Endpoints: t.Serves[k.SPKI]}
		lost[id] = l
	}
	l.Readers, l.How = merge(l.Readers, who), merge(l.How, how)
	for _, c := range k.Certificates {
		l.Names = merge(l.Names, append(slices.Clone(c.Names), c.Subject))
	}
	for _, f := range k.Files {
		if f.Holds == "private_key" || f.Holds == "both" || f.Holds == "keystore" {
			l.Files = merge(l.Files, []string{host + ":" + f.Path})
		}
	}
}

func keyType(k *keys.Key) string {
	if k.Bits > 0 {
		return fmt.Sprintf("%s %d", k.Type, k.Bits)
	}
	return k.Type
}

func (t Traces) secret(host string, s *keys.Secret, secrets map[string]*Secret) {
	var who []string
	for _, r := range s.Readers {
		if name := t.reader(host, r); name != "" {
			who = append(who, name)
		}
	}
	if len(who) == 0 {
		return
	}
	id := string(s.Kind) + "\x00" + s.Name + "\x00" + s.Where + "\x00" + s.Path
	if secrets[id] == nil {
		secrets[id] = &Secret{Kind: s.Kind, Name: s.Name, Where: strings.TrimSpace(s.Where + " " + s.Path)}
	}
	secrets[id].Readers = merge(secrets[id].Readers, who)
}

// also finds the same keys elsewhere: a key is compromised wherever it lies.
func (t Traces) also(lost map[string]*Key) {
	for _, host := range slices.Sorted(maps.Keys(t.Found)) {
		for _, k := range t.Found[host].Keys {
			l := lost[k.SPKI]
			if l != nil && k.SPKI != "" && k.Private && !slices.ContainsFunc(l.Readers, func(r string) bool { return strings.HasPrefix(r, host+" ") }) {
				l.Also = merge(l.Also, []string{host})
			}
		}
	}
	for _, e := range t.endpoints() {
		for _, pin := range e.Pins {
			if l := lost[pin]; l != nil {
				l.Clients = merge(l.Clients, []string{e.Name})
			}
		}
	}
}

func (t Traces) endpoints() []fleet.Endpoint {
	if t.Fleet == nil {
		return nil
	}
	return t.Fleet.Endpoints
}

func (t Traces) services() []Service {
	if t.Fleet == nil {
		return nil
	}
	var list []Service
	for _, s := range t.Fleet.Services {
		var hosts []string
		for _, h := range s.Hosts {
			if slices.ContainsFunc(s.Units, func(u string) bool { return t.Affected[h][u] }) {
				hosts = append(hosts, h)
			}
		}
		if len(hosts) > 0 {
			list = append(list, Service{s.Name, s.Owner, s.Holds, hosts})
		}
	}
	return list
}

func merge(a, b []string) []string {
	for _, s := range b {
		if s != "" && !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// Says is the radius in one sentence.
func (b Radius) Says() string {
	if b.Hosts == 0 {
		return "nobody knows: no host with affected processes could be asked for its keys and secrets"
	}
	says := fmt.Sprintf("%s and %s were in reach of affected processes on %s", phrase.Count(len(b.Keys), "key", "keys"), phrase.Count(len(b.Secrets), "secret", "secrets"), phrase.Count(b.Hosts, "host that was looked at", "hosts that were looked at"))
	if len(b.Unseen) > 0 {
		says += "; " + phrase.Count(len(b.Unseen), "thing", "things") + " could not be looked at"
	}
	return says
}

// NamesOn lists the names to ask a host's sockets for: "" first, for what is served without one, then those of the lost keys that lie there.
func (b Radius) NamesOn(host string, most int) []string {
	names := []string{""}
	for _, k := range b.Keys {
		if !slices.ContainsFunc(k.Files, func(f string) bool { return strings.HasPrefix(f, host+":") }) {
			continue
		}
		for _, n := range k.Names {
			n = strings.Replace(n, "*.", "any.", 1)
			if len(names) < most && !strings.ContainsAny(n, "= /") && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// With joins what an earlier look found: what was once in reach stays lost, also when the process has been mended since.
// What could not be looked at then, and was now, is not unseen any more.
func (b Radius) With(old *Radius) Radius {
	if old == nil {
		return b
	}
	for _, k := range old.Keys {
		b.Keys = joined(b.Keys, k, func(o Key) bool { return o.SPKI == k.SPKI && (k.SPKI != "" || slices.Equal(o.Files, k.Files)) }, func(o *Key) {
			o.Names, o.Readers, o.How, o.Files = merge(o.Names, k.Names), merge(o.Readers, k.Readers), merge(o.How, k.How), merge(o.Files, k.Files)
			o.Also, o.Endpoints, o.Clients = merge(o.Also, k.Also), merge(o.Endpoints, k.Endpoints), merge(o.Clients, k.Clients)
		})
	}
	for _, s := range old.Secrets {
		b.Secrets = joined(b.Secrets, s, func(o Secret) bool { return o.Kind == s.Kind && o.Name == s.Name && o.Where == s.Where }, func(o *Secret) { o.Readers = merge(o.Readers, s.Readers) })
	}
	for _, s := range old.Services {
		b.Services = joined(b.Services, s, func(o Service) bool { return o.Service == s.Service }, func(o *Service) { o.Hosts = merge(o.Hosts, s.Hosts) })
	}
	for _, u := range old.Unseen {
		host, _, _ := strings.Cut(u, ":")
		if !strings.HasPrefix(u, "what ") && !slices.Contains(b.Looked, host) && !slices.Contains(b.Unseen, u) { // who serves what is asked anew each time
			b.Unseen = append(b.Unseen, u)
		}
	}
	b.Looked = merge(slices.Clone(b.Looked), old.Looked)
	b.Hosts = max(len(b.Looked), old.Hosts)
	return b
}

// joined adds one to a list, or its parts to the one that is the same thing.
func joined[T any](list []T, one T, same func(T) bool, take func(*T)) []T {
	if at := slices.IndexFunc(list, same); at >= 0 {
		list = slices.Clone(list)
		take(&list[at])
		return list
	}
	return append(list, one)
}

// Short is a key's name in a table.
func (k Key) Short() string {
	if k.Encrypted && k.SPKI == "" {
		return "(encrypted at rest)"
	}
	return fmt.Sprintf("%.16s…", k.SPKI)
}
