package run

// Places lists every target of every step with its phase, in the plan's order: what a brief, a picture or a page shows.
func (m *Machine) Places() []Place { return m.places(func(*target) bool { return true }) }

// Unsettled counts the targets that are not settled, of all.
func (m *Machine) Unsettled() (open, all int) {
	for i := range m.steps {
		all += len(m.steps[i].targets)
	}
	return m.unsettled, all
}
