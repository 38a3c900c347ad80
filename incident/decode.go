package incident

import (
	"encoding/json"
	"time"

	"staunch/fault"
	"staunch/inventory"
)

// Decode reads what Encode wrote.
func Decode(kind Kind, at time.Time, by string, data []byte) (Event, error) {
	var d Decoder
	return d.Decode(kind, at, by, data)
}

// Decoder reads many events of one incident. A long night has a million looks, and they say the same words again and again:
// looks are read without reflection, and equal words share their memory. It is not safe for concurrent use. The zero value is ready.
type Decoder struct{ words map[string]string }

// Decode reads one event.
func (d *Decoder) Decode(kind Kind, at time.Time, by string, data []byte) (Event, error) {
	if kind == WasLooked {
		if e, plain := d.looked(data); plain {
			e.Kind, e.At, e.By = kind, at, by
			return e, nil
		}
	}
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fault.New(fault.Corrupt, "an event %s of an incident: %v", kind, err)
	}
	e.Kind, e.At, e.By = kind, at, by
	return e, nil
}

// looked reads a look as Encode writes it. Plain is false for anything else that JSON allows: an unknown field, an escape, a null, a key
// twice. Then encoding/json decides, so that the two never differ.
func (d *Decoder) looked(data []byte) (e Event, plain bool) {
	if d.words == nil {
		d.words = map[string]string{}
	}
	s := &scanner{b: data, words: d.words}
	s.object(func(key []byte) bool {
		switch string(key) {
		case "says":
			e.Says = s.word()
		case "looked":
			e.Looked = &Looked{}
			s.look(e.Looked)
		default:
			return false
		}
		return true
	})
	return e, !s.odd && s.i == len(s.b)
}

func (s *scanner) look(l *Looked) {
	s.object(func(key []byte) bool {
		switch string(key) {
		case "catalogue_date":
			l.Catalogue = s.time()
		case "hosts_known":
			l.Known = s.int()
		case "hosts_seen":
			l.Seen = s.int()
		case "hosts":
			l.Hosts = []HostState{}
			s.array(func() {
				l.Hosts = append(l.Hosts, HostState{})
				s.host(&l.Hosts[len(l.Hosts)-1])
			})
		case "gone":
			l.Gone = []string{}
			s.array(func() { l.Gone = append(l.Gone, s.word()) })
		case "more":
			l.More = s.bool()
		default:
			return false
		}
		return true
	})
}

func (s *scanner) host(h *HostState) {
	s.object(func(key []byte) bool {
		switch string(key) {
		case "host":
			h.Host = s.word()
		case "ring":
			h.Ring = s.word()
		case "state":
			h.State = inventory.State(s.word())
		case "why":
			h.Why = s.word()
		case "taken":
			h.Taken = s.time()
		case "affected":
			h.Affected = s.int()
		case "stale":
			h.Stale = s.int()
		case "unknown":
			h.Unknown = s.int()
		case "dormant":
			h.Dormant = s.int()
		case "facing":
			h.Facing = s.int()
		case "holding":
			h.Holding = s.int()
		case "units":
			h.Units = []UnitState{}
			s.array(func() {
				h.Units = append(h.Units, UnitState{})
				s.unit(&h.Units[len(h.Units)-1])
			})
		default:
			return false
		}
		return true
	})
}

func (s *scanner) unit(u *UnitState) {
	s.object(func(key []byte) bool {
		switch string(key) {
		case "unit":
			u.Unit = s.word()
		case "process":
			u.Process = s.word()
		case "state":
			u.State = s.word()
		case "component":
			u.Component = s.word()
		case "version":
			u.Version = s.word()
		case "exposure":
			u.Exposure = s.word()
		case "fix":
			u.Fix = s.word()
		case "count":
			u.Count = s.int()
		default:
			return false
		}
		return true
	})
}
