package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/incident/blast"
	"staunch/inventory"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/keys"
	"staunch/see/probe"
	"staunch/see/scan"
)

// Trace asks the hosts with affected processes which keys and secrets those could see, and then who serves these keys.
func (h *Hub) Trace(ctx context.Context, id string) (*incident.Incident, error) {
	s, _, err := h.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	t := blast.Traces{
		Found: map[string]*keys.Found{}, Affected: map[string]map[string]bool{}, PIDs: map[string]map[int]bool{}, Fleet: h.Fleet, Failed: map[string]string{}, Serves: map[string][]string{},
	}
	asked := h.traceAll(ctx, s, &t)
	for _, one := range s.In(inventory.Unknown) {
		t.Failed[one.Host] = cmp.Or(t.Failed[one.Host], one.Why)
	}
	if ctx.Err() != nil {
		return nil, fault.New(fault.Timeout, "the look for keys was stopped").Caused(ctx.Err())
	}
	lost := blast.Of(t)
	if len(lost.Keys) > 0 {
		h.served(ctx, asked, lost, &t)
		lost = blast.Of(t)
	}
	return h.Do(ctx, id, incident.Trace{Blast: lost})
}

// traceAll asks several hosts at once, and returns those that answered.
func (h *Hub) traceAll(ctx context.Context, s *incident.Incident, t *blast.Traces) []fleet.Host {
	outside := h.Fleet.Outside()
	var mu sync.Mutex
	var asked []fleet.Host
	h.each(ctx, s.In(inventory.Affected), func(one *incident.HostState) {
		got, err := h.trace(ctx, s, one.Host, outside)
		mu.Lock()
		defer mu.Unlock()
		t.Affected[one.Host], t.PIDs[one.Host] = got.units, got.pids // known also where the host's keys are not: what its services hold counts
		if err != nil {
			t.Failed[one.Host] = err.Error()
			return
		}
		t.Found[one.Host] = got.found
		where, _ := h.Fleet.Host(one.Host)
		asked = append(asked, where)
	})
	return asked
}

// each works on hosts, a few at a time.
func (h *Hub) each(ctx context.Context, hosts []*incident.HostState, do func(*incident.HostState)) {
	queue := make(chan *incident.HostState)
	var wg sync.WaitGroup
	for range min(len(hosts), cmp.Or(h.Forks, 20)) {
		wg.Go(func() {
			for one := range queue {
				do(one)
			}
		})
	}
	for _, one := range hosts {
		if ctx.Err() == nil {
			queue <- one
		}
	}
	close(queue)
	wg.Wait()
}

// traced is what one host told of keys and secrets, and which of its processes are affected.
type traced struct {
	found *keys.Found
	units map[string]bool
	pids  map[int]bool
}

func (h *Hub) trace(ctx context.Context, s *incident.Incident, name string, outside map[string]fleet.Outside) (traced, error) {
	t := traced{units: map[string]bool{}, pids: map[int]bool{}}
	if s.Advisory == nil {
		return t, fault.New(fault.Unsupported, "which processes are affected is not known without an advisory")
	}
	doc, err := h.Inventory.Document(name, h.Catalogue, outside, s.Advisory.ID)
	if err != nil {
		return t, err
	}
	q := keys.Question{}
	for _, f := range doc.Findings {
		if f.Bad() && f.PID > 0 {
			t.pids[f.PID] = true
			t.units[f.Unit] = f.Unit != ""
			q.PIDs = append(q.PIDs, f.PID)
		}
	}
	where, known := h.Fleet.Host(name)
	if !known {
		return t, fault.New(fault.NotFound, "%s is not in the fleet", name)
	}
	raw, err := json.Marshal(q)
	if err != nil {
		return t, fault.New(fault.Bug, "%v", err)
	}
	a, err := h.Ask(ctx, where, host.Question{Keys: raw})
	if err != nil {
		return t, err
	}
	t.found = &keys.Found{}
	if err := json.Unmarshal(a.Keys, t.found); err != nil {
		return t, fault.New(fault.Corrupt, "%s told of its keys what cannot be read: %v", name, err)
	}
	if t.found.Schema < 1 {
		return t, fault.New(fault.Corrupt, "%s told nothing of its keys", name)
	}
	return t, nil
}

// Limits on looking for who serves a key.
const (
	maxSockets = 200 // listening sockets of one host that are asked
	maxNames   = 8   // names that one socket is asked for
)

// served finds out where lost keys are served: at the fleet's endpoints, asked from here, and at the listening sockets of the hosts that
// hold one, asked by the host itself, so that neither a firewall nor a loopback address hides them.
func (h *Hub) served(ctx context.Context, asked []fleet.Host, lost blast.Radius, t *blast.Traces) {
	wanted := map[string]bool{}
	for _, k := range lost.Keys {
		wanted[k.SPKI] = k.SPKI != ""
	}
	var mu sync.Mutex
	note := func(spki, where string) {
		mu.Lock()
		defer mu.Unlock()
		if wanted[spki] && !slices.Contains(t.Serves[spki], where) {
			t.Serves[spki] = append(t.Serves[spki], where)
		}
	}
	unseen := func(where string, why any) {
		mu.Lock()
		defer mu.Unlock()
		t.Unserved = append(t.Unserved, fmt.Sprintf("what %s serves: %v", where, why))
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, cmp.Or(h.Forks, 20))
	run := func(work func()) {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			work()
		})
	}
	for _, e := range h.Fleet.Endpoints {
		run(func() { endpoint(ctx, e, note, unseen) })
	}
	for _, where := range asked {
		run(func() { h.sockets(ctx, where, lost, note, unseen) })
	}
	wg.Wait()
	for _, list := range t.Serves {
		slices.Sort(list)
	}
	slices.Sort(t.Unserved)
}

// endpoint asks every address of an endpoint for each kind of key.
func endpoint(ctx context.Context, e fleet.Endpoint, note func(spki, where string), unseen func(where string, why any)) {
	points, failed, err := probe.Resolve(ctx, probe.Question{Targets: e.Addresses, StartTLS: e.StartTLS, Domain: e.XMPPDomain, SNI: e.SNI})
	if err != nil {
		unseen(e.Name, err)
		return
	}
	for target, err := range failed {
		unseen(e.Name+" ("+target+")", err)
	}
	for _, p := range points {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		spkis, err := probe.ServesAll(ctx, p)
		cancel()
		at := e.Name + " " + p.AddrPort().String()
		if err != nil {
			unseen(at, err)
			continue
		}
		for _, spki := range spkis {
			note(spki, at)
		}
	}
}

// sockets lets a host ask its own listening sockets, under the names of the lost keys' certificates that lie there.
func (h *Hub) sockets(ctx context.Context, where fleet.Host, lost blast.Radius, note func(spki, where string), unseen func(where string, why any)) {
	r, err := h.Inventory.Report(where.Name)
	if err != nil {
		unseen(where.Name, err)
		return
	}
	targets, more := listening(r)
	if more {
		unseen(where.Name, fmt.Sprintf("only the first %d listening sockets were asked", maxSockets))
	}
	if len(targets) == 0 {
		return
	}
	for _, name := range lost.NamesOn(where.Name, maxNames) {
		results, err := h.probeFrom(ctx, where, probe.Question{Targets: targets, Mode: probe.ModeCertificate, SNI: name, OnlyTLS: true, Offline: true, TimeoutMS: 3000})
		if err != nil {
			unseen(where.Name+"'s sockets", err)
			return
		}
		for _, one := range results {
			if one.Certificate != nil {
				note(one.Certificate.SPKISHA256, fmt.Sprintf("%s:%d", where.Name, one.Port))
			}
		}
	}
}

func (h *Hub) probeFrom(ctx context.Context, where fleet.Host, q probe.Question) ([]probe.Result, error) {
	raw, err := json.Marshal(q)
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	a, err := h.Ask(ctx, where, host.Question{Probe: raw})
	if err != nil {
		return nil, err
	}
	var results []probe.Result
	if err := json.Unmarshal(a.Probe, &results); err != nil {
		return nil, fault.New(fault.Corrupt, "%s told of its sockets what cannot be read: %v", where.Name, err)
	}
	return results, nil
}

// listening lists a host's TCP sockets as targets for the host itself: wildcard addresses as loopback.
func listening(r *scan.Report) (targets []string, more bool) {
	for i := range r.Processes {
		for _, l := range r.Processes[i].Listens {
			addr := l.Addr
			switch addr {
			case "0.0.0.0", "":
				addr = "127.0.0.1"
			case "::":
				addr = "::1"
			}
			target := net.JoinHostPort(addr, strconv.Itoa(l.Port))
			if l.Proto != "tcp" || slices.Contains(targets, target) {
				continue
			}
			if len(targets) == maxSockets {
				return targets, true
			}
			targets = append(targets, target)
		}
	}
	return targets, false
}
