package scan

import (
	"math"
	"runtime"
	"runtime/debug"
)

// early is how large a program may grow before its first garbage collection, in bytes of all the memory that it has.
const early = 48 << 20

// CollectLate makes a program that is just starting collect no garbage until it holds 48 MB, and as usual from then on: a look at a machine
// is over before, and collections in a heap of 4 MB were a tenth of its work. What the environment says (GOGC, GOMEMLIMIT) goes first.
func CollectLate() {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(-1)
	if percent != 100 || limit != math.MaxInt64 {
		debug.SetGCPercent(percent)
		return
	}
	debug.SetMemoryLimit(early)
	runtime.AddCleanup(new([64]byte), func(percent int) { // runs after the first collection
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, percent)
}
