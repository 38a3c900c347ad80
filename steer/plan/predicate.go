package plan

import "strings"

// Fact names one thing that can be observed. Facts are part of signed plans: never rename one.
type Fact string

// The closed list of facts. What a predicate leaves empty of host, unit and endpoint is its target's.
const (
	Clean          Fact = "clean"            // host, advisory (and unit): a fresh look shows nothing affected or stale
	Reachable      Fact = "reachable"        // host: answers
	Healthy        Fact = "healthy"          // service (on host): its health check passes
	Running        Fact = "running"          // host, unit: active
	Stopped        Fact = "stopped"          // host, unit: not active, no process left, and it will not start by itself
	UnitMapsNew    Fact = "unit_maps_new"    // host, unit, object: no process of the unit maps that object
	OldWorkersGone Fact = "old_workers_gone" // host, unit: every process of the unit started after the step began
	Installed      Fact = "installed"        // host, package, version: that version or a newer one
	ObjectOnDisk   Fact = "object_on_disk"   // host, object: a library built elsewhere lies there with that content
	NotVulnerable  Fact = "not_vulnerable"   // endpoint, advisory: a probe from outside finds nothing
	Serves         Fact = "serves"           // endpoint, spki: every address serves that key
	NotServed      Fact = "not_served"       // endpoint, spki: no address serves that key
	KeyExists      Fact = "key_exists"       // host, name: the new key and its CSR are there
	Issued         Fact = "issued"           // name: the certificate for it is stored
	Revoked        Fact = "revoked"          // spki: the CA accepted the revocation of every certificate of the key
	OnCRL          Fact = "on_crl"           // spki: the CA's list says so
	TokensInvalid  Fact = "tokens_invalid"   // service: what was issued before is refused
	Replicated     Fact = "replicated"       // service (on host): replicas follow their primary
	Confirmed      Fact = "confirmed"        // a person said that the step is done
	Built          Fact = "built"            // name, object: the build host made exactly this content
	Undrained      Fact = "undrained"        // service (on host): takes traffic again
	Drained        Fact = "drained"          // service (on host): takes no new traffic
	Booted         Fact = "booted"           // host: up since after the step began
)

// Facts returns the closed list.
func Facts() []Fact {
	return []Fact{
		Clean, Reachable, Healthy, Running, Stopped, UnitMapsNew, OldWorkersGone, Installed, ObjectOnDisk, NotVulnerable, Serves, NotServed,
		KeyExists, Issued, Revoked, OnCRL, TokensInvalid, Replicated, Confirmed, Built, Undrained, Drained, Booted,
	}
}

// Predicate is one fact about named things: what a step needs or proves.
type Predicate struct {
	Kind     Fact   `json:"fact"`
	Host     string `json:"host,omitempty"`
	Unit     string `json:"unit,omitempty"`
	Service  string `json:"service,omitempty"`
	Advisory string `json:"advisory,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	SPKI     string `json:"spki_sha256,omitempty"`
	Package  string `json:"package,omitempty"`
	Version  string `json:"version,omitempty"`
	Object   string `json:"object,omitempty"` // scan's object id
	Name     string `json:"name,omitempty"`
}

func (f Fact) perHost() bool {
	switch f {
	case Clean, Reachable, Healthy, Running, Stopped, UnitMapsNew, OldWorkersGone, Installed, ObjectOnDisk, KeyExists, Replicated, Undrained, Drained, Booted:
		return true
	}
	return false
}

func (f Fact) perUnit() bool {
	switch f {
	case Running, Stopped, UnitMapsNew, OldWorkersGone:
		return true
	}
	return false
}

func (f Fact) perEndpoint() bool {
	switch f {
	case NotVulnerable, Serves, NotServed:
		return true
	}
	return false
}

// wants lists the fields without which a fact says nothing.
func (f Fact) wants() []string {
	switch f {
	case Clean:
		return []string{"advisory"}
	case Healthy, TokensInvalid, Replicated, Undrained, Drained:
		return []string{"service"}
	case Installed:
		return []string{"package", "version"}
	case UnitMapsNew, ObjectOnDisk:
		return []string{"object"}
	case NotVulnerable:
		return []string{"advisory"}
	case Serves, NotServed, Revoked, OnCRL:
		return []string{"spki"}
	case KeyExists, Issued, Built:
		return []string{"name"}
	}
	return nil
}

func (p Predicate) field(name string) string {
	switch name {
	case "advisory":
		return p.Advisory
	case "service":
		return p.Service
	case "package":
		return p.Package
	case "version":
		return p.Version
	case "object":
		return p.Object
	case "spki":
		return p.SPKI
	case "name":
		return p.Name
	}
	return ""
}

// String reads like a sentence's end: "clean of CVE-2014-0160 on web1".
func (p Predicate) String() string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(string(p.Kind), "_", " "))
	add := func(word, value string) {
		if value != "" {
			b.WriteString(" " + word + value)
		}
	}
	add("of ", p.Advisory)
	add("", p.Service)
	add("", p.Unit)
	add("", strings.TrimSpace(p.Package+" "+p.Version))
	add("", p.Name)
	add("object ", short(p.Object))
	add("key ", short(p.SPKI))
	add("at ", p.Endpoint)
	add("on ", p.Host)
	return b.String()
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
