// Package why explains what happens between a link and its site, layer by layer, and names the layer that fails.
package why

import (
	"context"
	"crypto/x509"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// Answer is the whole explanation of one URL, as seen from this machine at one time.
type Answer struct {
	URL     string    `json:"url"`
	Taken   time.Time `json:"taken"`
	From    string    `json:"from"` // the host name of the machine that looked
	Layers  []Layer   `json:"layers"`
	Verdict Verdict   `json:"verdict"`
	Says    string    `json:"says"`           // for somebody who is not an engineer
	Next    string    `json:"next,omitempty"` // what usually helps
	Samples *Samples  `json:"samples,omitempty"`
	// Redirects are the answers for the URLs that the site sent us on to, in order.
	Redirects []Answer `json:"redirects,omitempty"`
}

// Verdict names what is the matter; the set is closed and part of the JSON contract.
type Verdict string

// The verdicts.
const (
	Fine        Verdict = "fine"
	Slow        Verdict = "slow"
	BadURL      Verdict = "bad_url"
	NoSuchName  Verdict = "name_does_not_exist"
	DNSBroken   Verdict = "dns_broken"
	Unreachable Verdict = "host_unreachable"
	PortClosed  Verdict = "port_closed"
	Filtered    Verdict = "filtered"
	Overloaded  Verdict = "overloaded"
	Certificate Verdict = "certificate_problem"
	TLSBroken   Verdict = "tls_broken"
	Application Verdict = "application_error"
	Undecided   Verdict = "unknown"
)

// State is how one layer fared.
type State string

// The states of a layer.
const (
	OK         State = "ok"
	Slowly     State = "slow"
	Failed     State = "failed"
	NotReached State = "not_reached"
)

// Layer is one step on the way.
type Layer struct {
	Layer  string  `json:"layer"` // url, dns, address, tcp, tls, http
	State  State   `json:"state"`
	TookMS float64 `json:"took_ms"`
	Says   string  `json:"says"`
	Lines  []Line  `json:"lines,omitempty"` // what was seen, one finding a line
	Check  string  `json:"check,omitempty"` // the command with which a person can check it
	Detail any     `json:"detail,omitempty"`
}

// Line is one finding inside a layer.
type Line struct {
	State State  `json:"state"`
	Says  string `json:"says"`
	Check string `json:"check,omitempty"`
}

// Question says what to explain and with which eyes.
type Question struct {
	URL       string
	Resolver  string         // host:port of a recursive resolver; "" walks from the root
	RootHints []string       // addresses of root servers; nil: the public ones
	Anchors   []string       // DS records of the root in presentation format; nil: the public ones unless RootHints is set
	Hosts     string         // path of a hosts file; "" reads none
	System    []string       // host:port of this machine's own resolvers, asked for comparison and when the root does not answer
	CAs       *x509.CertPool // nil: the system's
	Samples   int            // further requests to tell a slow site from a slow moment
	Timeout   time.Duration  // for each single exchange; 0: 5 s
	From      string         // this machine's name
	Method    string         // GET (default) or HEAD
	UserAgent string
}

// maxRedirects is where browsers, too, give up (RFC 9110 section 15.4 asks clients to detect loops).
const maxRedirects = 10

// Ask walks every layer in turn. It errs only when it cannot look at all; a broken site is an Answer.
func Ask(ctx context.Context, q Question, progress func(string)) (Answer, error) {
	if q.URL == "" {
		return Answer{}, fault.New(fault.Usage, "no url given").Hinted("staunch why https://example.org/")
	}
	if q.Timeout == 0 {
		q.Timeout = 5 * time.Second
	}
	if progress == nil {
		progress = func(string) {}
	}
	first, next := explain(ctx, q, progress)
	seen := map[string]bool{q.URL: true}
	for hop := q; next != "" && len(first.Redirects) < maxRedirects; {
		if seen[next] {
			return loop(first, next), nil
		}
		seen[next] = true
		hop.URL = next
		var answer Answer
		answer, next = explain(ctx, hop, progress)
		first.Redirects = append(first.Redirects, answer)
	}
	if next != "" {
		return loop(first, next), nil
	}
	if n := len(first.Redirects); n > 0 {
		last := first.Redirects[n-1]
		first.Verdict, first.Says, first.Next = last.Verdict, last.Says, last.Next
	}
	if q.Samples > 1 && (first.Verdict == Fine || first.Verdict == Slow || first.Verdict == Overloaded) {
		first.Samples = sample(ctx, q, first, progress)
		judgeSamples(&first)
	}
	return first, nil
}

func loop(a Answer, back string) Answer {
	a.Verdict = Application
	a.Says = "The site sends us round in a circle: it keeps redirecting, at last to " + tame.Short(back, 2048) + "."
	a.Next = "The site's owner has to mend the redirect; clearing cookies for this site sometimes helps meanwhile."
	return a
}

// walk carries what one layer learned to the next.
type walk struct {
	q        Question
	answer   *Answer
	target   target
	addrs    []address
	progress func(string)
}

// explain looks at one URL and returns where it redirects to, if it does.
func explain(ctx context.Context, q Question, progress func(string)) (Answer, string) {
	answer := Answer{URL: tame.Short(q.URL, 2048), Taken: time.Now().UTC().Truncate(time.Millisecond), From: q.From}
	w := &walk{q: q, answer: &answer, progress: progress}
	steps := []struct {
		layer string
		do    func(context.Context, *walk) Layer
	}{{"url", urlLayer}, {"dns", dnsLayer}, {"address", addressLayer}, {"tcp", tcpLayer}}
	for i, step := range steps {
		progress(step.layer)
		layer := timed(ctx, w, step.layer, step.do)
		answer.Layers = append(answer.Layers, layer)
		if layer.State == Failed {
			for _, later := range steps[i+1:] {
				answer.Layers = append(answer.Layers, Layer{Layer: later.layer, State: NotReached})
			}
			answer.Layers = append(answer.Layers, Layer{Layer: "tls", State: NotReached}, Layer{Layer: "http", State: NotReached})
			return finish(answer), ""
		}
	}
	next := w.secureAndFetch(ctx)
	return finish(answer), next
}

func timed(ctx context.Context, w *walk, name string, do func(context.Context, *walk) Layer) Layer {
	began := time.Now()
	layer := do(ctx, w)
	layer.Layer = name
	if layer.TookMS == 0 {
		layer.TookMS = ms(time.Since(began))
	}
	return layer
}

func ms(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// fail sets the verdict of the answer: the first layer that fails names it.
func (w *walk) fail(verdict Verdict, says, next string) {
	if w.answer.Verdict == "" {
		w.answer.Verdict, w.answer.Says, w.answer.Next = verdict, says, next
	}
}

func finish(a Answer) Answer {
	if a.Verdict != "" {
		return a
	}
	for _, layer := range a.Layers {
		if layer.State == Slowly {
			a.Verdict = Slow
			a.Says = "The site works from here, but the " + layerName(layer.Layer) + " step is slow: " + layer.Says + "."
			a.Next = "Try again in a few minutes, and with --samples 10 to see whether it stays slow."
			return a
		}
	}
	a.Verdict = Fine
	a.Says = "The site works from here. If it does not for somebody else, the trouble lies between them and the site, or on their device."
	a.Next = "Ask them to send the same picture from their side."
	return a
}

func layerName(layer string) string {
	switch layer {
	case "url":
		return "address line"
	case "dns":
		return "name look-up"
	case "tcp":
		return "connection"
	case "tls":
		return "encryption"
	case "http":
		return "web server"
	}
	return layer
}
