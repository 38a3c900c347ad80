package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
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
	byID := objectsByID(doc)
	out := vex{
		Context: "https://openvex.dev/ns/v0.2.0", Author: "staunch on " + doc.Host, Timestamp: doc.Taken, Version: 1,
		Tooling: "staunch " + doc.Scanner, Statements: []statement{},
	}
	at := map[string]int{}
	for i := range doc.Findings {
		f := &doc.Findings[i]
		if f.Advisory == "" {
			continue
		}
		s := vexStatement(f)
		key := s.Vulnerability.Name + "\x00" + s.Status + "\x00" + s.Justification + "\x00" + s.Impact + "\x00" + s.Action
		n, known := at[key]
		if !known {
			n = len(out.Statements)
			at[key] = n
			out.Statements = append(out.Statements, s)
		}
		p := vexProduct{ID: product(f, byID), Subcomponents: []vexPart{{componentPURL("", f.Component, f.Version)}}}
		if !slices.ContainsFunc(out.Statements[n].Products, func(q vexProduct) bool { return q.ID == p.ID }) {
			out.Statements[n].Products = append(out.Statements[n].Products, p)
		}
	}
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

func vexStatement(f *verdict.Finding) statement {
	s := statement{Vulnerability: vulnerability{f.Advisory, slices.Concat(f.Names, f.Aliases)}}
	says := ""
	if len(f.Evidence) > 0 {
		says = f.Evidence[0].Says
	}
	switch f.State {
	case verdict.NotAffected:
		s.Status, s.Justification, s.Impact = "not_affected", string(f.Justification), says
	case verdict.Fixed:
		s.Status, s.Notes = "fixed", says
	case verdict.Unknown:
		s.Status, s.Notes = "under_investigation", says
	default:
		s.Status, s.Action, s.Notes = "affected", f.Fix.What, says
	}
	return s
}
