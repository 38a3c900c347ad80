// Package heard holds what is known in the first minute, when something is out and no advisory has an id yet.
package heard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/scan"
	"staunch/see/verdict"

	"github.com/google/uuid"
)

// Rumour is the note that starts an incident's clock before an advisory has an id; `incident open --from-heard` reads it.
type Rumour struct {
	Schema    int       `json:"schema"`
	ID        string    `json:"id"`
	Heard     time.Time `json:"heard"`
	Says      string    `json:"says"`
	Component string    `json:"component"`
	Host      string    `json:"host"`
	Holders   []Holder  `json:"holders"`
	Seen      int       `json:"processes_seen"`
	Known     int       `json:"processes_known"`
	Note      string    `json:"note,omitempty"` // where this was written
}

// Holder is one process that runs the component.
type Holder struct {
	PID      int              `json:"pid"`
	Process  string           `json:"process"`
	Unit     string           `json:"unit"`
	Version  string           `json:"version"`
	Linkage  string           `json:"linkage"`
	Path     string           `json:"path"`
	Package  string           `json:"package,omitempty"`
	Exposure verdict.Exposure `json:"exposure"`
}

// New notes what was heard, now; component may be empty.
func New(says, component string, now time.Time) (*Rumour, error) {
	if strings.TrimSpace(says) == "" {
		return nil, fault.New(fault.Usage, "nothing was heard").Hinted("staunch heard \"openssl memory leak\"")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fault.New(fault.Bug, "no random numbers: %v", err)
	}
	return &Rumour{Schema: 1, ID: id.String(), Heard: now.UTC().Truncate(time.Millisecond), Says: says, Component: component, Holders: []Holder{}}, nil
}

// Look fills in who holds the component; without one it takes the first word that names something that runs here, and none if no word does.
// It returns the names of all components that run here.
func (r *Rumour) Look(report *scan.Report) []string {
	r.Host, r.Seen, r.Known = report.Host, report.Sight.ProcessesSeen, report.Sight.ProcessesKnown
	names := verdict.Components(report)
	if r.Component == "" {
		if r.Component = guess(report, r.Says, names); r.Component == "" {
			return names
		}
	}
	for _, h := range verdict.Holders(report, r.Component) {
		r.Holders = append(r.Holders, Holder{
			PID: h.PID, Process: h.Process, Unit: h.Unit, Version: h.Version, Linkage: string(h.Linkage), Path: h.Path, Package: h.Package, Exposure: h.Exposure,
		})
	}
	return names
}

// guess finds the first word that names something that runs here: a component, that behind "lib", or its source package (xz).
func guess(report *scan.Report, says string, names []string) string {
	words := strings.FieldsFunc(strings.ToLower(says), func(r rune) bool { return strings.ContainsRune(" ,.;:!?\"'()", r) })
	for _, word := range words {
		for _, name := range names {
			if word == strings.ToLower(name) || "lib"+word == strings.ToLower(name) {
				return name
			}
		}
	}
	for _, word := range words {
		if name := verdict.Named(report, word); len(word) > 1 && name != "" {
			return name
		}
	}
	return ""
}

// Keep writes the note as dir/ID.json, readable by its owner alone.
func (r *Rumour) Keep(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r.Note = filepath.Join(dir, r.ID+".json")
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.Note, append(b, '\n'), 0o600)
}

// Read finds the one note in dir whose id begins with id.
func Read(dir, id string) (*Rumour, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", dir, err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(filepath.Base(n), id) })
	if len(names) != 1 {
		return nil, fault.New(fault.NotFound, "%d notes of `staunch heard` begin with %q", len(names), id).Hinted("its id stands at the end of what `staunch heard` prints")
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		return nil, fault.New(fault.Denied, "%v", err)
	}
	var r Rumour
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fault.New(fault.Corrupt, "the note %s: %v", names[0], err)
	}
	return &r, nil
}
