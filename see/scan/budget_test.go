package scan_test

import (
	"os"
	"testing"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// TestAByteBudgetSparesTheHostAndSaysSo looks at this process with room for one small object: the rest is listed as unread.
func TestAByteBudgetSparesTheHostAndSaysSo(t *testing.T) {
	real.Slow(t)
	pid := held(t, real.Program(t, "python3"), "-c", "import ssl,sys; sys.stdin.read()")
	q := scan.Question{PIDs: []int{pid, os.Getpid()}, NoCache: true, ByteBudget: 1 << 20}
	r := look(t, q, scan.Env{})
	unread, whole := 0, 0
	for _, p := range r.Processes {
		before := unread
		for _, m := range p.Objects {
			if m.Unread != "" && m.ID == "" {
				unread++
			}
		}
		if unread == before {
			whole++
		}
	}
	if r.Sight.ProcessesSeen != whole || len(r.Unseen) == 0 {
		t.Errorf("%d processes count as seen although files of theirs were not read; unseen %+v", r.Sight.ProcessesSeen, r.Unseen)
	}
	// one object may cross the line: it is read to its end, or not at all
	if unread == 0 || r.Sight.BytesRead > 16<<20 {
		t.Errorf("%d objects unread, %d bytes read", unread, r.Sight.BytesRead)
	}
}
