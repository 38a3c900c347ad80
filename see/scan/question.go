package scan

import "staunch/see/scan/elf"

// Question says what to look at and how hard.
type Question struct {
	Args          bool         `json:"args,omitempty"`  // include command lines
	PIDs          []int        `json:"pids,omitempty"`  // only these
	Units         []string     `json:"units,omitempty"` // only these
	Root          string       `json:"root,omitempty"`  // judge a directory that does not run (an unpacked image)
	Files         []string     `json:"files,omitempty"` // judge these files or directories
	NoDormant     bool         `json:"no_dormant,omitempty"`
	DormantBudget int64        `json:"dormant_budget_ms,omitempty"` // 0: 5,000
	NoCache       bool         `json:"no_cache,omitempty"`
	ByteBudget    int64        `json:"byte_budget,omitempty"` // bytes of object content read at most; 0: no limit
	Anchors       []elf.Anchor `json:"anchors,omitempty"`
}
