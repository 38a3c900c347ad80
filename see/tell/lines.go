package tell

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"staunch/see/verdict"
)

// Lines prints one finding a line, then one line of coverage, so that a pipe can work on each as it comes.
func Lines(w io.Writer, doc *verdict.Document) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	type where struct {
		Schema int       `json:"schema"`
		Kind   string    `json:"kind"`
		Host   string    `json:"host"`
		Taken  time.Time `json:"taken"`
	}
	for i := range doc.Findings {
		line := struct {
			where
			verdict.Finding
		}{where{doc.Schema, "finding", doc.Host, doc.Taken}, doc.Findings[i]}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return out.Encode(struct {
		where
		CatalogueDate time.Time        `json:"catalogue_date"`
		Coverage      verdict.Coverage `json:"coverage"`
		Unseen        int              `json:"unseen"`
	}{where{doc.Schema, "coverage", doc.Host, doc.Taken}, doc.CatalogueDate, doc.Coverage, len(doc.Unseen)})
}

// InOrder is one entry a host, in the fleet's order.
func (s *Fleet) InOrder() []any {
	list := []any{}
	for _, h := range s.Hosts {
		if doc := s.Docs[h]; doc != nil {
			list = append(list, doc)
			continue
		}
		if i := slices.IndexFunc(s.Mute, func(m Silent) bool { return m.Host == h }); i >= 0 {
			list = append(list, s.Mute[i])
		}
	}
	return list
}

// Lines prints one finding a line, host by host, then the hosts that gave no answer.
func (s *Fleet) Lines(w io.Writer) error {
	for _, h := range s.Hosts {
		if doc := s.Docs[h]; doc != nil {
			if err := Lines(w, doc); err != nil {
				return err
			}
		}
	}
	out := json.NewEncoder(w)
	for _, m := range s.Mute {
		m.Kind = "unreachable"
		if err := out.Encode(m); err != nil {
			return err
		}
	}
	return nil
}
