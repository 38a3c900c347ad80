package real

import (
	"os"
	"testing"
	"time"
)

// Seed is what a test of random worlds begins with: always the same, so that a failure stays, and in long runs (STAUNCH_LONG=1) another one each time, else
// a soak would try the same worlds again and again. The log names it.
func Seed(t testing.TB, usual uint64) uint64 {
	t.Helper()
	if os.Getenv("STAUNCH_LONG") != "1" {
		return usual
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return seed
}
