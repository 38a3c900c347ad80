package plan

import (
	"encoding/json"

	"staunch/fault"
	"staunch/mandate"
	"staunch/reach/act"
)

// undoMark ends the name of the leaf under which a step's undo act is signed.
const undoMark = ".undo"

// plant makes what is signed: one leaf for every act on every host, and one for every act that would undo it.
func (s *Sealed) plant() error {
	p := &s.plan
	var err error
	if s.leaves, err = p.leaves(); err != nil {
		return err
	}
	if s.tree, err = mandate.Plant(s.leaves); err != nil {
		return err
	}
	s.index = make(map[[2]string]int, len(s.leaves))
	for i, leaf := range s.leaves {
		s.index[[2]string{leaf.Step, leaf.Host}] = i
	}
	s.Header = mandate.Header{
		Schema: mandate.Schema, Plan: p.ID, Incident: p.Incident, Root: s.tree.Root(), Leaves: len(s.leaves), Quorum: map[string]int{},
		NotBefore: p.NotBefore, Expires: p.Expires, Document: s.Document,
	}
	for _, r := range p.Rings {
		s.Header.Quorum[r.Name] = r.Quorum
	}
	s.Digest, err = s.Header.Digest()
	return err
}

func (p *Plan) leaves() ([]mandate.Leaf, error) {
	var leaves []mandate.Leaf
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Act == nil {
			continue
		}
		does, err := json.Marshal(s.Act)
		if err != nil {
			return nil, fault.New(fault.Usage, "the act of step %s cannot be encoded: %v", s.ID, err)
		}
		var undoes []byte
		if s.Undo.Act != nil {
			if undoes, err = json.Marshal(s.Undo.Act); err != nil {
				return nil, fault.New(fault.Usage, "the undo of step %s cannot be encoded: %v", s.ID, err)
			}
		}
		ring := s.Ring
		if s.Safer {
			ring = "" // one person suffices, as far as the host's own policy agrees
		}
		for _, t := range s.Targets {
			leaves = append(leaves, mandate.Leaf{Plan: p.ID, Step: s.ID, Host: t.Host, Ring: ring, Act: does, Undo: s.Undo.Kind == Reverse})
			if undoes != nil {
				leaves = append(leaves, mandate.Leaf{Plan: p.ID, Step: s.ID + undoMark, Host: t.Host, Ring: ring, Act: undoes})
			}
		}
	}
	if len(leaves) == 0 { // a plan for people only: what is signed still covers its document
		leaves = append(leaves, mandate.Leaf{Plan: p.ID, Step: "document", Host: "none", Act: json.RawMessage(`{"kind":"none"}`)})
	}
	return leaves, nil
}

// Order makes the order for one attempt of a step on a host, with its mandate: leaf, path and signatures, never the plan.
func (s *Sealed) Order(step *Step, host string, attempt int, undo bool, signatures []string) (act.Order, error) {
	name, does, o := step.ID, step.Act, act.Order{Host: host, DeadlineMS: step.DeadlineMS}
	switch {
	case undo && step.Undo.Kind == RunAct:
		name, does = step.ID+undoMark, step.Undo.Act
	case undo && step.Undo.Kind == Reverse:
		o.Undo, o.Of = true, act.OrderID(s.Digest, step.ID, host, attempt)
	case undo:
		return act.Order{}, fault.New(fault.Unsupported, "step %s cannot be undone by a host: %s", step.ID, step.Undo.Says)
	}
	i, known := s.index[[2]string{name, host}]
	if !known || does == nil {
		return act.Order{}, fault.New(fault.Denied, "plan %s has no act %s for host %s", s.plan.ID, name, host)
	}
	o.Step, o.Act, o.ID = name, *does, act.OrderID(s.Digest, name, host, attempt)
	if o.Undo {
		o.ID += "-undo"
	}
	if len(signatures) == 0 {
		return o, nil // without signatures the login is the authority; hosts that want a mandate refuse
	}
	var err error
	o.Mandate, err = s.tree.Mandate(s.Header, s.leaves, i, signatures)
	return o, err
}
