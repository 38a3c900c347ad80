package scan_test

import (
	"testing"

	"staunch/see/scan"
)

// BenchmarkLook looks at the machine that it runs on: cold without a cache, warm with one, and at what could start.
func BenchmarkLook(b *testing.B) {
	cache := b.TempDir() + "/cache"
	for name, q := range map[string]scan.Question{
		"cold":      {NoDormant: true, NoCache: true},
		"warm":      {NoDormant: true},
		"all, cold": {NoCache: true, DormantBudget: 600_000},
		"all, warm": {DormantBudget: 600_000},
	} {
		b.Run(name, func(b *testing.B) {
			var read int64
			if _, err := scan.Look(b.Context(), q, scan.Env{Cache: cache}, nil); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r, err := scan.Look(b.Context(), q, scan.Env{Cache: cache}, nil)
				if err != nil {
					b.Fatal(err)
				}
				read += r.Sight.BytesRead
			}
			b.SetBytes(read / int64(b.N))
		})
	}
}
