package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"staunch/fault"
	"staunch/reach/host"
	"staunch/tame"
)

// Relay serves conn with what the host behind c answers, until the peer hangs up or ctx ends. It closes conn, not c. Only questions of the
// named kinds pass; an order or a payload never does, whatever the peer sends. Answers pass as they are: the peer checks them as if it
// had asked the host itself.
func Relay(ctx context.Context, conn net.Conn, c *Client, kinds []string) error {
	r := &relay{to: c, kinds: kinds}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", r.hello)
	mux.HandleFunc("POST /v1/look", r.look)
	mux.HandleFunc("POST /v1/", r.refuse)
	return serve(ctx, conn, mux, relayIdle)
}

// relayIdle is how long a peer may stay without asking anything.
const relayIdle = 30 * time.Second

type relay struct {
	to    *Client
	kinds []string
}

// hello asks the host itself: it also tells whether the host is still there.
func (r *relay) hello(w http.ResponseWriter, in *http.Request) {
	out, err := http.NewRequestWithContext(in.Context(), http.MethodGet, "http://host/hello", nil)
	if err == nil {
		var resp *http.Response
		if resp, err = r.to.conn.RoundTrip(out); err == nil {
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, io.LimitReader(resp.Body, 64<<10)) // a peer that is gone needs no answer
			return
		}
	}
	http.Error(w, "the host does not answer", http.StatusBadGateway)
}

func (r *relay) refuse(w http.ResponseWriter, _ *http.Request) {
	_ = writeError(w, fault.New(fault.Unsupported, "%s is only looked at on a kept connection", r.to.name)) // a peer that is gone needs no answer
}

func (r *relay) look(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, in.Body, MaxQuestion))
	var q host.Question
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		_ = writeError(w, fault.New(fault.Usage, "the question cannot be read: %s", tame.Text(err.Error()))) // as in refuse
		return
	}
	if !slices.Contains(r.kinds, q.Kind()) {
		r.refuse(w, in)
		return
	}
	// what was judged travels on, not what was read: no second reading of the same bytes can see another question
	if body, err = json.Marshal(q); err != nil {
		_ = writeError(w, fault.New(fault.Bug, "the question cannot be encoded: %v", err)) // as in refuse
		return
	}
	out, err := http.NewRequestWithContext(in.Context(), http.MethodPost, "http://host/v1/look", bytes.NewReader(body))
	if err != nil {
		_ = writeError(w, fault.New(fault.Bug, "%v", err)) // as in refuse
		return
	}
	if until := in.Header.Get(deadlineHead); until != "" {
		out.Header.Set(deadlineHead, until)
	}
	resp, err := r.to.conn.RoundTrip(out)
	if err != nil {
		_ = writeError(w, r.to.broken(in.Context(), fault.Unreachable, err)) // as in refuse
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	if err := pass(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler) // cuts the answer off, so that the peer does not take half of it for all
	}
}

// pass copies as it comes: progress must not wait for the answer.
func pass(w http.ResponseWriter, r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, bad := w.Write(buf[:n]); bad != nil {
				return bad
			}
			if f, can := w.(http.Flusher); can {
				f.Flush()
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
