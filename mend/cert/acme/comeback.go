package acme

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Later is the cause of a fault whose CA said when to come back (Retry-After beside status 429 or 503).
type Later struct{ At time.Time }

// Error says when.
func (l Later) Error() string { return "not before " + l.At.UTC().Format(time.RFC3339) }

// Again is when a CA wants to be asked again after this error; false where it did not say.
func Again(err error) (time.Time, bool) {
	var l Later
	ok := errors.As(err, &l)
	return l.At, ok
}

// comeback remembers what a CA last said of coming back: the ACME library reads the header but keeps it to itself.
type comeback struct {
	http.RoundTripper
	mu sync.Mutex
	at time.Time
}

// RoundTrip passes the answer on.
func (l *comeback) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		if at, said := retryAfter(resp.Header.Get("Retry-After"), time.Now()); said {
			l.mu.Lock()
			l.at = at
			l.mu.Unlock()
		}
	}
	return resp, err
}

// said gives what the CA said, if that lies ahead.
func (l *comeback) said() (time.Time, bool) {
	if l == nil {
		return time.Time{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at, l.at.After(time.Now())
}

// maxLater bounds what a CA may ask for: a month.
const maxLater = 31 * 24 * time.Hour

// retryAfter reads the header: seconds, or a date (RFC 9110 section 10.2.3).
func retryAfter(text string, now time.Time) (time.Time, bool) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return now.Add(min(time.Duration(n)*time.Second, maxLater)), true
	}
	at, err := http.ParseTime(text)
	if err != nil || at.Sub(now) > maxLater {
		return time.Time{}, false
	}
	return at, true
}
