package why

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"staunch/tame"
)

// HTTPDetail is what the web server answered.
type HTTPDetail struct {
	Status      int     `json:"status,omitempty"`
	Proto       string  `json:"proto,omitempty"`
	Server      string  `json:"server,omitempty"`
	Type        string  `json:"content_type,omitempty"`
	Location    string  `json:"location,omitempty"`
	RetryAfter  string  `json:"retry_after,omitempty"`
	FirstByteMS float64 `json:"first_byte_ms,omitempty"`
	BodyMS      float64 `json:"body_ms,omitempty"`
	BodyBytes   int64   `json:"body_bytes"`
	BodyCut     bool    `json:"body_cut,omitempty"` // the body ended before its promised length
}

// Limits and thresholds of one request.
const (
	maxHeader = 256 << 10
	maxBody   = 8 << 20
	slowFirst = 2 * time.Second // where a waiting person gives up on a page (first byte)
)

// secureAndFetch does the TLS and HTTP layers over the connection that the tcp layer kept, and returns the redirect's target.
func (w *walk) secureAndFetch(ctx context.Context) string {
	conn := w.kept()
	if conn == nil {
		return ""
	}
	defer conn.Close()
	if w.target.secure {
		w.progress("tls")
		layer, client := w.tlsLayer(ctx, conn)
		w.answer.Layers = append(w.answer.Layers, layer)
		if client == nil {
			w.answer.Layers = append(w.answer.Layers, Layer{Layer: "http", State: NotReached})
			return ""
		}
		conn = client
	} else {
		w.answer.Layers = append(w.answer.Layers, Layer{Layer: "tls", State: OK, Says: "none: the link says http, everybody on the way can read along"})
	}
	w.progress("http")
	layer, next := w.httpLayer(conn)
	w.answer.Layers = append(w.answer.Layers, layer)
	return next
}

// kept is the connection that the tcp layer left open.
func (w *walk) kept() net.Conn {
	for _, layer := range w.answer.Layers {
		if dials, ok := layer.Detail.([]Dial); ok {
			for i := range dials {
				if dials[i].conn != nil {
					return dials[i].conn
				}
			}
		}
	}
	return nil
}

func (w *walk) httpLayer(conn net.Conn) (Layer, string) {
	layer := Layer{Layer: "http", Check: "curl -sv -o /dev/null " + shellQuoted(w.target.url.String())}
	began := time.Now()
	resp, err := w.request(conn)
	first := time.Since(began)
	if err != nil {
		layer.TookMS = ms(first)
		return w.httpFailed(layer, err, first), ""
	}
	defer resp.Body.Close()
	detail := HTTPDetail{
		Status: resp.StatusCode, Proto: tame.Short(resp.Proto, 2048), Server: tame.Short(resp.Header.Get("Server"), 2048), Type: tame.Short(resp.Header.Get("Content-Type"), 2048),
		Location: tame.Short(resp.Header.Get("Location"), 2048), RetryAfter: tame.Short(resp.Header.Get("Retry-After"), 2048), FirstByteMS: ms(first),
	}
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	detail.BodyBytes, detail.BodyMS = n, ms(time.Since(began)-first)
	layer.TookMS = ms(time.Since(began))
	if err != nil {
		detail.BodyCut = true
		layer.Lines = append(layer.Lines, Line{State: Failed, Says: fmt.Sprintf("the page broke off after %d bytes: %s", n, plainNet(err)), Check: layer.Check})
	}
	layer.Detail = detail
	return w.judgeStatus(layer, detail, first)
}

// request sends one plain HTTP/1.1 request and reads the answer's head.
func (w *walk) request(conn net.Conn) (*http.Response, error) {
	if err := conn.SetDeadline(time.Now().Add(6 * w.q.Timeout)); err != nil {
		return nil, err
	}
	method := w.q.Method
	if method == "" {
		method = http.MethodGet
	}
	clean := *w.target.url
	clean.User, clean.Fragment = nil, ""
	req, err := http.NewRequest(method, clean.String(), nil)
	if err != nil {
		return nil, err
	}
	agent := w.q.UserAgent
	if agent == "" {
		agent = "staunch-why/1"
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	req.Close = true
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(&headLimit{conn: conn, left: maxHeader + maxBody}), req)
}

// headLimit bounds what one answer may send; net/http's reader alone would take headers without end.
type headLimit struct {
	conn net.Conn
	left int64
}

func (h *headLimit) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errors.New("the answer is larger than we read")
	}
	if int64(len(p)) > h.left {
		p = p[:h.left]
	}
	n, err := h.conn.Read(p)
	h.left -= int64(n)
	return n, err
}

func (w *walk) httpFailed(layer Layer, err error, took time.Duration) Layer {
	layer.State = Failed
	switch {
	case isTimeout(err):
		layer.Says = fmt.Sprintf("connected, asked for the page, and heard nothing for %.0f s", took.Seconds())
		w.fail(Overloaded, "The site accepts us, but does not answer in time: it is overloaded, or something behind it hangs.", "Try again in a few minutes; its owner should look at the application and its database.")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		layer.Says = "the server closed the connection without an answer"
		w.fail(Application, "The site takes the request and hangs up without a word: the web server or the program behind it crashes.", "Its owner should look at the server's error log.")
	default:
		layer.Says = "no proper answer: " + plainNet(err)
		w.fail(Application, "What the site answers is not a web page's answer.", "Is it the right port? Its owner should look at the server's error log.")
	}
	return layer
}

// judgeStatus turns the status line into words, and returns where a redirect leads.
func (w *walk) judgeStatus(layer Layer, d HTTPDetail, first time.Duration) (Layer, string) {
	text := http.StatusText(d.Status)
	layer.State = OK
	layer.Says = fmt.Sprintf("%d %s after %.0f ms, %d bytes", d.Status, text, d.FirstByteMS, d.BodyBytes)
	switch {
	case d.Status == http.StatusTooManyRequests || d.Status == http.StatusServiceUnavailable:
		layer.State = Failed
		again := "Try again in a few minutes."
		if d.RetryAfter != "" {
			again = "The site itself says when to come back: Retry-After " + d.RetryAfter + "."
		}
		w.fail(Overloaded, fmt.Sprintf("The site answers that it cannot serve us now (%d %s): it is overloaded, in maintenance, or limits how often we may ask.", d.Status, text), again)
	case d.Status == http.StatusBadGateway || d.Status == http.StatusGatewayTimeout:
		layer.State = Failed
		w.fail(Application, fmt.Sprintf("The site's front door works, but the program behind it does not answer (%d %s).", d.Status, text), "Its owner should look at the application behind the web server.")
	case d.Status >= 500:
		layer.State = Failed
		w.fail(Application, fmt.Sprintf("The site's program failed on this request (%d %s).", d.Status, text), "Its owner should look at the application's error log.")
	case d.Status == http.StatusNotFound || d.Status == http.StatusGone:
		layer.State = Failed
		w.fail(Application, "The site works, but it has no such page.", "Check the part of the link after the host name, or start at the site's front page.")
	case d.Status >= 400:
		layer.State = Failed
		w.fail(Application, fmt.Sprintf("The site works, but refuses this request (%d %s).", d.Status, text), "It may need a log-in, or refuse visitors from here.")
	case d.Status >= 300 && d.Location != "":
		return w.redirect(layer, d)
	}
	if d.BodyCut && layer.State == OK {
		layer.State = Failed
		w.fail(Application, "The page broke off half-way.", "Its owner should look at the server's error log, and at proxies in between.")
	}
	if layer.State == OK && first > slowFirst {
		layer.State = Slowly
		layer.Says += fmt.Sprintf("; the first byte took %.1f s", first.Seconds())
	}
	return layer, ""
}

func (w *walk) redirect(layer Layer, d HTTPDetail) (Layer, string) {
	next, err := url.Parse(d.Location)
	if err != nil {
		layer.State = Failed
		layer.Says = "redirects to something that is no link"
		w.fail(Application, "The site sends us on to something that is no link.", "Its owner has to mend the redirect.")
		return layer, ""
	}
	to := w.target.url.ResolveReference(next)
	to.Fragment = ""
	layer.Says = fmt.Sprintf("%d, sends us on to %s", d.Status, tame.Short(to.String(), 2048))
	if w.target.secure && to.Scheme == "http" {
		layer.Lines = append(layer.Lines, Line{State: Slowly, Says: "the redirect leads from https back to http: everybody on the way can read along"})
	}
	return layer, to.String()
}

// shellQuoted makes a command line that a person can paste without harm.
func shellQuoted(s string) string {
	return "'" + strings.ReplaceAll(tame.Short(s, 2048), "'", `'\''`) + "'"
}
