package advisory

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"staunch/fault"
)

// MaxRecord bounds one advisory record, in bytes.
const MaxRecord = 16 << 20

// maxRanges bounds the ranges and versions kept of one record.
const maxRanges = 20_000

type cveRecord struct {
	DataType string `json:"dataType"`
	Meta     struct {
		ID    string `json:"cveId"`
		State string `json:"state"`
	} `json:"cveMetadata"`
	Containers struct {
		CNA struct {
			Affected []struct {
				Product  string `json:"product"`
				Versions []struct {
					Version  string `json:"version"`
					LessThan string `json:"lessThan"`
					Last     string `json:"lessThanOrEqual"`
					Status   string `json:"status"`
				} `json:"versions"`
			} `json:"affected"`
			DatePublic string `json:"datePublic"`
			Metrics    []struct {
				Other struct {
					Content struct {
						Text string `json:"text"`
					} `json:"content"`
				} `json:"other"`
				CVSS struct {
					Severity string `json:"baseSeverity"`
				} `json:"cvssV3_1"`
			} `json:"metrics"`
			Problems []struct {
				Descriptions []struct {
					CWE string `json:"cweId"`
				} `json:"descriptions"`
			} `json:"problemTypes"`
		} `json:"cna"`
	} `json:"containers"`
}

// ReadCVE reads one CVE-JSON 5.x record, as the OpenSSL project publishes them. Only facts are kept.
// Products become upstream components, in lower case. A broken record is fault.Corrupt.
func ReadCVE(r io.Reader) (Advisory, error) {
	var rec cveRecord
	if err := decode(r, &rec); err != nil {
		return Advisory{}, err
	}
	if rec.DataType != "CVE_RECORD" || !SoundID(rec.Meta.ID) {
		return Advisory{}, fault.New(fault.Corrupt, "not a CVE record")
	}
	cna := rec.Containers.CNA
	a := Advisory{ID: rec.Meta.ID, Withdrawn: rec.Meta.State == "REJECTED", Published: readTime(cna.DatePublic)}
	for _, product := range cna.Affected {
		byName := map[string]int{}
		for _, v := range product.Versions {
			if v.Status != "affected" || len(a.Affects) > maxRanges {
				continue
			}
			name := strings.ToLower(product.Product)
			if strings.HasPrefix(v.Version, "fips-") { // a product of its own with its own numbers
				name += "-fips"
			}
			at, seen := byName[name]
			if !seen {
				at = len(a.Affects)
				byName[name] = at
				a.Affects = append(a.Affects, Affected{Name: name})
			}
			if v.LessThan == "" && v.Last == "" {
				a.Affects[at].Versions = append(a.Affects[at].Versions, v.Version)
			} else {
				a.Affects[at].Ranges = append(a.Affects[at].Ranges, Range{Introduced: v.Version, Fixed: v.LessThan, Last: v.Last})
			}
		}
	}
	for _, m := range cna.Metrics {
		a.Severity = worse(a.Severity, worse(ReadSeverity(m.Other.Content.Text), ReadSeverity(m.CVSS.Severity)))
	}
	for _, p := range cna.Problems {
		for _, d := range p.Descriptions {
			if d.CWE != "" {
				a.CWE = union(a.CWE, []string{d.CWE})
			}
		}
	}
	return a, nil
}

// decode reads exactly one JSON value of bounded size.
func decode(r io.Reader, into any) error {
	b, err := io.ReadAll(io.LimitReader(r, MaxRecord+1))
	if err != nil {
		return fault.New(fault.Corrupt, "reading an advisory: %v", err)
	}
	if len(b) > MaxRecord {
		return fault.New(fault.Corrupt, "an advisory of more than %d MB", MaxRecord>>20)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fault.New(fault.Corrupt, "not an advisory: %v", err)
	}
	return nil
}

// SoundID accepts ids that are safe to print, to compare and to use as keys.
func SoundID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.:", c) >= 0) {
			return false
		}
	}
	return true
}

func readTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// ReadSeverity takes the words of several sources; "" where there is none.
func ReadSeverity(word string) Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return Critical
	case "high", "important":
		return High
	case "moderate", "medium":
		return Moderate
	case "low", "negligible", "unimportant", "minor":
		return Low
	}
	return ""
}

func worse(a, b Severity) Severity {
	if b.Rank() > a.Rank() {
		return b
	}
	return a
}
