package mandate

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"time"

	"staunch/fault"

	"golang.org/x/crypto/ssh"
)

// maxSigners bounds an allowed_signers file, in bytes.
const maxSigners = 1 << 20

// Signers is a parsed allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS).
type Signers struct{ lines []signer }

type signer struct {
	line       int
	principals []string
	key        []byte // wire form
	namespaces []string
	after      time.Time
	before     time.Time
}

// ParseSigners reads an allowed_signers file. It is strict, because a line that is silently left out lowers nobody's guard but
// changes who counts: certificates authorities, wildcard principals and unknown options are errors that name the line.
// Times without a Z are in zone, as OpenSSH reads them in the system's.
func ParseSigners(b []byte, zone *time.Location) (*Signers, error) {
	if len(b) > maxSigners {
		return nil, fault.New(fault.Full, "allowed signers of %d bytes, at most %d", len(b), maxSigners)
	}
	s := &Signers{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxSigners)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		parsed, err := parseSigner(text, zone)
		if err != nil {
			return nil, fault.New(fault.KindOf(err), "allowed signers, line %d: %v", n, err)
		}
		parsed.line = n
		s.lines = append(s.lines, parsed)
	}
	if err := lines.Err(); err != nil {
		return nil, fault.New(fault.Corrupt, "allowed signers: %v", err)
	}
	return s, nil
}

func parseSigner(text string, zone *time.Location) (signer, error) {
	who, rest := word(text)
	s := signer{principals: strings.Split(strings.Trim(who, `"`), ",")}
	for _, p := range s.principals {
		if p == "" || strings.ContainsAny(p, "*?!") {
			return s, fault.New(fault.Unsupported, "principal %.60q: each must name one person, without wildcards", p)
		}
	}
	if first, _ := word(rest); first != "" && !isKeyType(first) {
		var options string
		options, rest = word(rest)
		if err := s.options(options, zone); err != nil {
			return s, err
		}
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil || len(options) != 0 {
		return s, fault.New(fault.Corrupt, "no public key behind the principals and options")
	}
	s.key = key.Marshal()
	return s, acceptable(key, nil)
}

// word cuts the first word; quotes keep spaces together and stay in the word.
func word(text string) (first, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return text[:i], strings.TrimLeft(text[i:], " \t")
		}
	}
	return text, ""
}

func isKeyType(s string) bool {
	return strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-") || strings.HasPrefix(s, "sk-") || strings.HasPrefix(s, "rsa-")
}

func (s *signer) options(text string, zone *time.Location) error {
	for _, option := range splitQuoted(text) {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		var err error
		switch strings.ToLower(name) {
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = signerTime(value, zone)
		case "valid-before":
			s.before, err = signerTime(value, zone)
		case "cert-authority":
			return fault.New(fault.Unsupported, "cert-authority: certificates do not count, list each person's key")
		default:
			return fault.New(fault.Unsupported, "option %.40q is not understood", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// splitQuoted splits at commas outside of quotes.
func splitQuoted(text string) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			parts, start = append(parts, text[start:i]), i+1
		}
	}
	return append(parts, text[start:])
}

// signerTime reads YYYYMMDD[HHMM[SS]][Z].
func signerTime(text string, zone *time.Location) (time.Time, error) {
	digits, utc := strings.CutSuffix(text, "Z")
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) == len(layout) {
			if t, err := time.ParseInLocation(layout, digits, zone); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fault.New(fault.Corrupt, "time %.40q is not YYYYMMDD[HHMM[SS]][Z]", text)
}

// inNamespace follows OpenSSH: no option means any namespace; patterns may use * and ?, and ! excludes.
func (s signer) inNamespace(want string) bool {
	if s.namespaces == nil {
		return true
	}
	found := false
	for _, pattern := range s.namespaces {
		pattern, not := strings.CutPrefix(pattern, "!")
		if !glob(pattern, want) {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

// glob matches * and ? in linear memory and quadratic time.
func glob(pattern, s string) bool {
	star, mark, p := -1, 0, 0
	for i := 0; i < len(s); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark, p = p, i, p+1
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			i, p = i+1, p+1
		case star >= 0:
			mark++
			i, p = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// people gives each line the person it speaks for. Lines that share a principal or a key are one person, so that neither
// several keys nor several names of one person count twice.
func (s *Signers) people() []string {
	person := make([]string, len(s.lines))
	for i, line := range s.lines {
		person[i] = line.principals[0]
		for j, earlier := range s.lines[:i] {
			if !samePerson(line, earlier) {
				continue
			}
			from, to := person[i], person[j]
			for k := range person[:i+1] {
				if person[k] == from {
					person[k] = to
				}
			}
		}
	}
	return person
}

func samePerson(a, b signer) bool {
	return bytes.Equal(a.key, b.key) || slices.ContainsFunc(a.principals, func(p string) bool { return slices.Contains(b.principals, p) })
}

// Person tells who a key speaks for at a time, in our namespace.
func (s *Signers) Person(key ssh.PublicKey, at time.Time) (string, error) {
	people, wire := s.people(), key.Marshal()
	why := "is not among the allowed signers"
	for i, line := range s.lines {
		switch {
		case !bytes.Equal(line.key, wire):
		case !line.inNamespace(Namespace):
			why = "is not allowed for " + Namespace
		case !line.after.IsZero() && at.Before(line.after):
			why = "is not valid yet"
		case !line.before.IsZero() && !at.Before(line.before):
			why = "is not valid any more"
		default:
			return people[i], nil
		}
	}
	return "", fault.New(fault.Denied, "key %s %s", ssh.FingerprintSHA256(key), why)
}

// People counts the distinct people whose keys are valid at a time.
func (s *Signers) People(at time.Time) int {
	found, people := map[string]bool{}, s.people()
	for i, line := range s.lines {
		if line.inNamespace(Namespace) && !at.Before(line.after) && (line.before.IsZero() || at.Before(line.before)) {
			found[people[i]] = true
		}
	}
	return len(found)
}
