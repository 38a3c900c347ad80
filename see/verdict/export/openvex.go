package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"time"

	"staunch/see/verdict"
)

// vex is an OpenVEX 0.2.0 document (https://github.com/openvex/spec).
type vex struct {
	Context    string      `json:"@context"`
	ID         string      `json:"@id"`
	Author     string      `json:"author"`
	Timestamp  time.Time   `json:"timestamp"`
	Version    int         `json:"version"`
	Tooling    string      `json:"tooling"`
	Statements []statement `json:"statements"`
}

type statement struct {
	Vulnerability vulnerability `json:"vulnerability"`
	Products      []vexProduct  `json:"products"`
	Status        string        `json:"status"`
	Justification string        `json:"justification,omitempty"`
	Impact        string        `json:"impact_statement,omitempty"`
	Action        string        `json:"action_statement,omitempty"`
	Notes         string        `json:"status_notes,omitempty"`
}

type vulnerability struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
}

type vexProduct struct {
	ID            string    `json:"@id"`
	Subcomponents []vexPart `json:"subcomponents,omitempty"`
}

type vexPart struct {
	ID string `json:"@id"`
}

// OpenVEX writes one statement per advisory, status and reason, naming every product that it holds for. Grouped findings without an advisory are left out.
func OpenVEX(w io.Writer, doc *verdict.Document) error {
	v := newVEX("staunch on "+doc.Host, doc)
	byID := objectsByID(doc)
	for i := range doc.Findings {
		f := &doc.Findings[i]
		v.add(f, vexProduct{ID: product(f, byID), Subcomponents: []vexPart{{componentPURL("", f.Component, f.Version)}}})
	}
	return v.write(w)
}

// FleetVEX does the same for many hosts: a product is a host (urn:staunch:host:NAME), because the same package is fixed on one and not on
// another; what it is about stands as its subcomponents. A host that was not seen has no statement. docs is not empty.
func FleetVEX(w io.Writer, docs []*verdict.Document) error {
	v := newVEX("staunch", docs[0])
	for _, doc := range docs {
		byID := objectsByID(doc)
		for i := range doc.Findings {
			f := &doc.Findings[i]
			parts := []vexPart{{product(f, byID)}}
			if c := componentPURL("", f.Component, f.Version); c != parts[0].ID {
				parts = append(parts, vexPart{c})
			}
			v.add(f, vexProduct{ID: "urn:staunch:host:" + url.PathEscape(doc.Host), Subcomponents: parts})
		}
		if doc.Taken.After(v.out.Timestamp) {
			v.out.Timestamp = doc.Taken
		}
	}
	return v.write(w)
}

// statements gathers what is said alike.
type statements struct {
	out vex
	at  map[string]int
}

func newVEX(author string, doc *verdict.Document) *statements {
	return &statements{at: map[string]int{}, out: vex{
		Context: "https://openvex.dev/ns/v0.2.0", Author: author, Timestamp: doc.Taken, Version: 1, Tooling: "staunch " + doc.Scanner, Statements: []statement{},
	}}
}

func (v *statements) add(f *verdict.Finding, p vexProduct) {
	if f.Advisory == "" {
		return
	}
	s := vexStatement(f)
	key := s.Vulnerability.Name + "\x00" + s.Status + "\x00" + s.Justification + "\x00" + s.Impact + s.Notes + "\x00" + s.Action
	n, known := v.at[key]
	if !known {
		n = len(v.out.Statements)
		v.at[key] = n
		v.out.Statements = append(v.out.Statements, s)
	}
	products := &v.out.Statements[n].Products
	i := slices.IndexFunc(*products, func(q vexProduct) bool { return q.ID == p.ID })
	if i < 0 {
		*products = append(*products, p)
		return
	}
	for _, part := range p.Subcomponents {
		if !slices.Contains((*products)[i].Subcomponents, part) {
			(*products)[i].Subcomponents = append((*products)[i].Subcomponents, part)
		}
	}
}

func (v *statements) write(w io.Writer) error {
	out := v.out
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	out.ID = "https://openvex.dev/docs/public/vex-" + hex.EncodeToString(sum[:])
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(out)
}

// aliases are the other names, each once.
func aliases(f *verdict.Finding) []string {
	var list []string
	for _, name := range slices.Concat(f.Names, f.Aliases) {
		if name != f.Advisory && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func vexStatement(f *verdict.Finding) statement {
	s := statement{Vulnerability: vulnerability{f.Advisory, aliases(f)}}
	says := ""
	if len(f.Evidence) > 0 {
		says = f.Evidence[0].Says
	}
	switch f.State {
	case verdict.NotAffected:
		if s.Status, s.Justification = "not_affected", string(f.Justification); s.Justification == "" {
			s.Impact = says // the format takes one of the two, never both
		} else {
			s.Notes = says
		}
	case verdict.Fixed:
		s.Status, s.Notes = "fixed", says
	case verdict.Unknown:
		s.Status, s.Notes = "under_investigation", says
	default:
		s.Status, s.Action, s.Notes = "affected", f.Fix.What, says
	}
	return s
}
