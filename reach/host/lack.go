package host

import (
	"fmt"
	"slices"
	"time"
)

// What a host needs before anything is done on it.
const (
	wantedRoom = 200 << 20 // bytes on each disk, for packages and their saved predecessors
	clockSlack = 30 * time.Second
)

// Missing tells what a host lacks. Its clock is compared with ours at the middle of the question.
func Missing(h *Health, asked time.Time, took time.Duration) []string {
	lacks := []string{}
	if !h.Root {
		lacks = append(lacks, "root rights: processes of others are not seen, nothing can be changed")
	}
	var full []string
	for dir, free := range h.DiskFree {
		if free < wantedRoom {
			full = append(full, fmt.Sprintf("room on %s: %d MB left", dir, free>>20))
		}
	}
	slices.Sort(full)
	lacks = append(lacks, full...)
	if off := time.UnixMilli(h.ClockMS).Sub(asked.Add(took / 2)); off.Abs() > clockSlack {
		lacks = append(lacks, "a right clock: it is off by "+off.Round(time.Second).String())
	}
	return append(lacks, h.Problems...)
}
