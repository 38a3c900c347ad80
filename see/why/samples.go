package why

import (
	"context"
	"fmt"
	"time"
)

// Samples are further looks at the same site.
type Samples struct {
	Count    int       `json:"count"`
	Failed   int       `json:"failed"`
	Refused  int       `json:"overloaded"` // 503, 429 or no answer in time
	ConnectM []float64 `json:"connect_ms"`
	TLSMS    []float64 `json:"tls_ms,omitempty"`
	FirstMS  []float64 `json:"first_byte_ms"`
	Trend    string    `json:"trend"` // flat, growing, unknown
}

// sample asks again n times, one after the other, with a pause so that we are not the load.
func sample(ctx context.Context, q Question, first Answer, progress func(string)) *Samples {
	s := &Samples{Trend: "unknown"}
	if n := len(first.Redirects); n > 0 {
		q.URL = first.Redirects[n-1].URL
	}
	for i := range q.Samples {
		if ctx.Err() != nil {
			break
		}
		progress(fmt.Sprintf("sample %d of %d", i+1, q.Samples))
		one, _ := explain(ctx, q, func(string) {})
		s.add(one)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	s.Trend = trend(s.FirstMS)
	return s
}

func (s *Samples) add(a Answer) {
	s.Count++
	switch a.Verdict {
	case Fine, Slow:
	case Overloaded:
		s.Refused++
	default:
		s.Failed++
	}
	for _, layer := range a.Layers {
		switch d := layer.Detail.(type) {
		case []Dial:
			s.ConnectM = append(s.ConnectM, layer.TookMS)
		case TLSDetail:
			s.TLSMS = append(s.TLSMS, layer.TookMS)
		case HTTPDetail:
			if d.Status < 400 {
				s.FirstMS = append(s.FirstMS, d.FirstByteMS)
			}
		}
	}
}

// trend compares the last third with the first: growing means at least twice as long and 200 ms more.
func trend(v []float64) string {
	if len(v) < 6 {
		return "unknown"
	}
	third := len(v) / 3
	early, late := mean(v[:third]), mean(v[len(v)-third:])
	if late > 2*early && late-early > 200 {
		return "growing"
	}
	return "flat"
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// judgeSamples lets many looks correct the verdict of one.
func judgeSamples(a *Answer) {
	s := a.Samples
	switch {
	case s.Refused > 0 && s.Count-s.Failed-s.Refused > 0:
		a.Verdict = Overloaded
		a.Says = fmt.Sprintf("The site answers only part of the time: %d of %d tries were turned away or got no answer in time. It is overloaded.", s.Refused, s.Count)
		a.Next = "Try again later; its owner needs more capacity or fewer visitors at once."
	case s.Trend == "growing":
		a.Verdict = Overloaded
		a.Says = fmt.Sprintf("The site answers, but slower each time (%.0f ms at first, %.0f ms at the end): it is getting overloaded.", s.FirstMS[0], s.FirstMS[len(s.FirstMS)-1])
		a.Next = "Try again later; its owner should look at what the site waits for."
	case s.Failed > 0:
		a.Verdict = Application
		a.Says = fmt.Sprintf("The site fails now and then: %d of %d tries.", s.Failed, s.Count)
		a.Next = "One of several servers behind the name may be broken: its owner should check each."
	}
}
