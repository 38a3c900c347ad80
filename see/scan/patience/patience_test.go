package patience_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"staunch/see/scan/patience"
)

// TestWhatHangsCostsADeadlineAndNotTheWork has more items that never end than there are workers.
func TestWhatHangsCostsADeadlineAndNotTheWork(t *testing.T) {
	release := make(chan struct{})
	var after atomic.Int64
	var late atomic.Int64
	got := patience.Each(t.Context(), patience.Crew[int]{
		Workers: 2, N: 60, Limit: 150 * time.Millisecond,
		First: func(i int) int {
			if i%10 == 0 {
				<-release
			}
			return i
		},
		Late: func(i int) int {
			late.Add(1)
			return -i - 1
		},
		Then: func(int) { after.Add(1) },
	})
	close(release) // what the late ones bring must be dropped
	time.Sleep(20 * time.Millisecond)
	for i, v := range got {
		want := i
		if i%10 == 0 {
			want = -i - 1
		}
		if v != want {
			t.Errorf("item %d: %d, want %d", i, v, want)
		}
	}
	if len(got) != 60 || late.Load() != 6 || after.Load() != 54 {
		t.Errorf("%d results, %d late, %d finished", len(got), late.Load(), after.Load())
	}
}

func TestASlowItemIsNotLateWhileItsSecondPartRuns(t *testing.T) {
	got := patience.Each(t.Context(), patience.Crew[int]{
		Workers: 1, N: 3, Limit: 30 * time.Millisecond,
		First: func(i int) int { return i },
		Late:  func(int) int { return -1 },
		Then:  func(int) { time.Sleep(120 * time.Millisecond) },
	})
	if !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("%v", got)
	}
}

func TestAnEndedContextLeavesTheRest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	got := patience.Each(ctx, patience.Crew[int]{
		Workers: 1, N: 100, Limit: time.Minute,
		First: func(i int) int {
			if i == 9 {
				cancel()
			}
			return i + 1
		},
		Late: func(int) int { return -1 },
		Then: func(int) {},
	})
	if len(got) != 100 || got[9] != 10 || got[10] != 0 || got[99] != 0 {
		t.Errorf("%v", got)
	}
	if got := patience.Each(ctx, patience.Crew[int]{}); len(got) != 0 {
		t.Errorf("nothing to do gives %v", got)
	}
}

func TestWithinGivesUp(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	if v, ok := patience.Within(20*time.Millisecond, func() int { <-release; return 1 }); ok || v != 0 {
		t.Errorf("%d %v", v, ok)
	}
	if v, ok := patience.Within(time.Minute, func() int { return 7 }); !ok || v != 7 {
		t.Errorf("%d %v", v, ok)
	}
}
