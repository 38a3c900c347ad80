package incident

import (
	"encoding/json"
	"time"

	"staunch/compact"
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
	s := compact.New(data, d.words)
	s.Object(func(key []byte) bool {
		switch string(key) {
		case "says":
			e.Says = s.Word()
		case "looked":
			e.Looked = &Looked{}
			look(s, e.Looked)
		default:
			return false
		}
		return true
	})
	return e, s.Plain()
}

func look(s *compact.Scanner, l *Looked) {
	s.Object(func(key []byte) bool {
		switch string(key) {
		case "catalogue_date":
			l.Catalogue = s.Time()
		case "hosts_known":
			l.Known = s.Int()
		case "hosts_seen":
			l.Seen = s.Int()
		case "hosts":
			l.Hosts = []HostState{}
			s.Array(func() {
				l.Hosts = append(l.Hosts, HostState{})
				host(s, &l.Hosts[len(l.Hosts)-1])
			})
		case "gone":
			l.Gone = []string{}
			s.Array(func() { l.Gone = append(l.Gone, s.Word()) })
		case "more":
			l.More = s.Bool()
		default:
			return false
		}
		return true
	})
}

func host(s *compact.Scanner, h *HostState) {
	s.Object(func(key []byte) bool {
		switch string(key) {
		case "host":
			h.Host = s.Word()
		case "ring":
			h.Ring = s.Word()
		case "state":
			h.State = inventory.State(s.Word())
		case "why":
			h.Why = s.Word()
		case "taken":
			h.Taken = s.Time()
		case "affected":
			h.Affected = s.Int()
		case "stale":
			h.Stale = s.Int()
		case "unknown":
			h.Unknown = s.Int()
		case "dormant":
			h.Dormant = s.Int()
		case "facing":
			h.Facing = s.Int()
		case "holding":
			h.Holding = s.Int()
		case "units":
			h.Units = []UnitState{}
			s.Array(func() {
				h.Units = append(h.Units, UnitState{})
				unit(s, &h.Units[len(h.Units)-1])
			})
		default:
			return false
		}
		return true
	})
}

func unit(s *compact.Scanner, u *UnitState) {
	s.Object(func(key []byte) bool {
		switch string(key) {
		case "unit":
			u.Unit = s.Word()
		case "process":
			u.Process = s.Word()
		case "state":
			u.State = s.Word()
		case "component":
			u.Component = s.Word()
		case "version":
			u.Version = s.Word()
		case "exposure":
			u.Exposure = s.Word()
		case "fix":
			u.Fix = s.Word()
		case "count":
			u.Count = s.Int()
		default:
			return false
		}
		return true
	})
}
