package keep

import (
	"context"
	"maps"
	"time"
)

const (
	lifeSigns = time.Second
	linger    = 5 * time.Second
)

// watch hangs up what is due, and ends the keeper when nothing is left to keep.
func (k *keeper) watch(ctx context.Context) {
	tick := time.NewTicker(k.tick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		k.sweep()
		if k.idle() {
			k.stop()
		}
	}
}

// sweep hangs up what is due or dead, and forgets it.
func (k *keeper) sweep() {
	k.mu.Lock()
	all := maps.Clone(k.hosts)
	k.mu.Unlock()
	for key, h := range all {
		select {
		case h.turn <- struct{}{}:
		default:
			continue // somebody is about to use it
		}
		if h.client != nil && (h.client.Err() != nil || k.due(h, 0)) {
			k.drop(h)
		}
		k.mu.Lock()
		if h.client == nil && h.refs == 0 {
			delete(k.hosts, key)
		}
		k.mu.Unlock()
		<-h.turn
	}
}

// idle tells that nobody is connected and nothing is kept.
func (k *keeper) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conns == 0 && len(k.hosts) == 0 && wall().Sub(k.quiet).Abs() > k.linger
}

// dropAll hangs up on all hosts at the end, when nobody is connected any more.
func (k *keeper) dropAll() {
	for _, h := range k.hosts {
		if h.client != nil {
			k.drop(h)
		}
	}
}
