package hub

import (
	"context"
	"fmt"
	"os"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/inventory"
	"staunch/ledger"
)

// A judgement takes a moment; a judge that died must not hold up the others for long.
const (
	judgeTime = 20 * time.Second
	judgeWait = 100 * time.Millisecond
)

// Judge compares an incident's advisory with what hosts told, and appends what changed. One process at a time judges an incident, and knows
// what the others were told before it speaks: else two that look at the same time would contradict each other in turns.
func (h *Hub) Judge(ctx context.Context, id string) (*incident.Incident, error) {
	h.judging.Lock()
	defer h.judging.Unlock()
	l, err := h.turnToJudge(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := h.judge(ctx, id)
	if released := h.Store.Release(context.WithoutCancel(ctx), l); err == nil {
		err = released
	}
	return s, err
}

// turnToJudge waits until nobody else judges the incident.
func (h *Hub) turnToJudge(ctx context.Context, id string) (ledger.Lease, error) {
	holder := fmt.Sprintf("%s@%s/%d/%p", h.Who, h.Machine, os.Getpid(), h)
	for end := time.Now().Add(2 * judgeTime); ; {
		l, err := h.Store.Acquire(ctx, "judge/"+id, holder, judgeTime)
		if !fault.Is(err, fault.Conflict) || time.Now().After(end) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return l, ctx.Err()
		case <-time.After(judgeWait):
		}
	}
}

func (h *Hub) judge(ctx context.Context, id string) (*incident.Incident, error) {
	s, _, err := h.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := h.hearOthers(ctx, s); err != nil {
		return nil, err
	}
	if s.Advisory != nil && h.Catalogue != nil {
		if now, known := h.Catalogue.Find(s.Advisory.ID); known {
			if s, err = h.Do(ctx, id, incident.Amend{Advisory: now}); err != nil {
				return nil, err
			}
		}
	}
	look, err := h.answer(s)
	if err != nil {
		return nil, err
	}
	return h.Do(ctx, id, look)
}

// hearOthers takes in reports of hosts that another process has judged and this one has not seen.
func (h *Hub) hearOthers(ctx context.Context, s *incident.Incident) error {
	for name, judged := range s.Hosts {
		if judged.Taken.IsZero() {
			continue
		}
		if !h.Inventory.Taken(name).Before(judged.Taken) {
			continue
		}
		d, err := h.Store.Get(ctx, reportDocument, name)
		if fault.Is(err, fault.NotFound) {
			continue // told under another name, or to another ledger
		}
		if err != nil {
			return err
		}
		r, err := inventory.Unpack(d.Body)
		if err != nil {
			return err
		}
		if err := h.Inventory.Tell(name, r); err != nil {
			return err
		}
	}
	return nil
}
