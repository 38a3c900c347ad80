package plan

import (
	"fmt"
	"strings"
	"time"

	"staunch/fault"
)

// World is what the rules compare a plan with: the fleet as it is known now.
type World struct {
	Now       time.Time
	Rings     map[string]string       // host to ring: every known host stands here
	Services  map[string]KnownService // by name
	Endpoints map[string][]string     // SPKI to every endpoint known to serve it
	// Affected tells whether a version has one of the plan's advisories; nil or an error-free "false" for a version nobody judged must not be confused, so it answers with known.
	Affected func(v Version) (affected, known bool)
}

// KnownService is a service as the fleet's description has it.
type KnownService struct {
	Units   []string
	Hosts   []string
	MaxDown int
}

// Problem is one broken rule at one place.
type Problem struct {
	Rule string `json:"rule"`
	Step string `json:"step,omitempty"`
	Says string `json:"says"`
}

// Rule is one thing that every plan must keep; Says is its one sentence in the docs.
type Rule struct {
	Name  string
	Says  string
	check func(*view) []Problem
}

// Rules returns every rule, in the order in which they are checked and documented.
func Rules() []Rule {
	return []Rule{
		{"unique-ids", "Every step has an id of its own, made of letters, digits, dots and dashes.", uniqueIDs},
		{"known-steps", "A step only waits for steps that exist.", knownSteps},
		{"no-cycle", "No step waits for itself, not even around corners.", noCycle},
		{"vocabulary", "Every step kind and every fact is of the closed list, with the parameters without which it says nothing.", vocabulary},
		{"targets", "A step names each of its targets once, and an act names a host, each host once.", targets},
		{"proof", "A step that proves nothing is not a step.", proof},
		{"known-hosts", "A step touches only hosts that the fleet knows.", knownHosts},
		{"ring", "A step stands in the ring of its hosts, and its ring is one of the plan's.", ringOfHosts},
		{"same-host", "A step that waits for another one on the same host finds that host there.", sameHost},
		{"canary-first", "What installs or restarts something in a later ring comes after everything that does so in the earlier rings, and after their watch.", canaryFirst},
		{"clean-before-keys", "A new key is made on, or brought to, a host only after that host was proven clean.", cleanBeforeKeys},
		{"clean-before-tokens", "Tokens are invalidated only after every server that issues them was proven clean.", cleanBeforeTokens},
		{"serves-before-revoke", "A key is revoked, and an old certificate of it is taken away, only after every endpoint known to serve it was seen without it.", servesBeforeRevoke},
		{"revoke-looks-again", "A revocation, and a taking away, looks at every endpoint once more right before it happens.", revokeLooksAgain},
		{"down-limit", "No step takes down more hosts of a service at once than the service allows, and it says which services it takes down.", downLimit},
		{"no-way-back", "No undo brings back an affected version, unless a waiver with a reason and an end allows it.", noWayBack},
		{"way-up", "An undo that takes a host out of service belongs to a turn whose last step puts it back.", wayUp},
		{"undo", "Every step that changes something says how it is undone.", undoSaid},
		{"person", "A step for a person has an owner, a question and a due time.", personSteps},
		{"waiver", "A waiver names its host, its advisory, a person, a reason and an end that lies ahead.", waivers},
		{"expiry", "A plan expires, and is not expired.", expiry},
		{"quorum", "A step asks for at least its ring's votes; only what makes things safer may do with one.", quorum},
		{"safer", "Only a stop, a drain, a restart or a switch-off counts as merely safer.", saferKinds},
		{"retries", "Only what is safe to repeat is tried more than once.", retries},
		{"deadline", "Every step has a deadline.", deadlines},
		{"soak", "Only a gate watches for a while; a step that changes something is watched by the gate after it.", soaks},
		{"turn", "The steps of a turn stand in one ring and take down the same services.", turns},
	}
}

// Lint holds a plan to every rule. An empty answer means that it may be voted on.
func Lint(p *Plan, w World) []Problem {
	v := look(p, w)
	var problems []Problem
	for _, rule := range Rules() {
		for _, found := range rule.check(v) {
			found.Rule = rule.Name
			problems = append(problems, found)
		}
	}
	return problems
}

// Refuse turns problems into one error that names the first few, or nil.
func Refuse(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	const shown = 5
	var lines []string
	for _, p := range problems[:min(shown, len(problems))] {
		lines = append(lines, p.String())
	}
	if more := len(problems) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return fault.New(fault.Denied, "the plan breaks its rules: %s", strings.Join(lines, "; ")).Hinted("docs/plan-rules.md explains each rule")
}

// String names rule and place.
func (p Problem) String() string {
	if p.Step == "" {
		return p.Rule + ": " + p.Says
	}
	return p.Rule + ": step " + p.Step + ": " + p.Says
}

func bad(step, format string, args ...any) Problem {
	return Problem{Step: step, Says: fmt.Sprintf(format, args...)}
}
