package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/reach/host/promise"
	"staunch/reach/lab"
	"staunch/reach/wire"
	"staunch/see/scan"
)

// overPipe puts the wire between the caller and h.
func overPipe(t *testing.T, h host.Host) *wire.Client {
	t.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- wire.Serve(ctx, far, h, "test") }()
	c, err := wire.Dial(t.Context(), near, h.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close() // closed twice in some tests
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("serve ended with %v", err)
		}
	})
	return c
}

func machine(t *testing.T, troubles ...lab.Trouble) host.Host {
	t.Helper()
	_, world := lab.Example(1)
	world.Troubles = troubles
	l, err := lab.New(world)
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Host("web1")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPromisesInMemory(t *testing.T) {
	promise.Host(t, func(t *testing.T) host.Host { return machine(t) })
}

func TestPromisesOverThePipe(t *testing.T) {
	promise.Host(t, func(t *testing.T) host.Host { return overPipe(t, machine(t)) })
}

func TestFaultsKeepTheirKindAndHint(t *testing.T) {
	c := overPipe(t, machine(t, lab.Trouble{Way: lab.Refuses}))
	_, err := c.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil)
	if !fault.Is(err, fault.Unreachable) || fault.HintOf(err) != "is the host up?" {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

func TestDeadlineTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan time.Duration, 1)
		c := overPipe(t, &pretend{look: func(ctx context.Context, _ host.Question) (host.Answer, error) {
			until, _ := ctx.Deadline()
			asked <- time.Until(until)
			<-ctx.Done()
			return host.Answer{}, fault.New(fault.Timeout, "too slow")
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		if _, err := c.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, nil); !fault.Is(err, fault.Timeout) {
			t.Error(err)
		}
		if d := <-asked; d != 7*time.Second {
			t.Errorf("the far end had %v", d)
		}
		_ = c.Close()
	})
}

func TestCallerWhoLeavesStopsTheWork(t *testing.T) {
	stopped := make(chan struct{})
	began := make(chan struct{})
	c := overPipe(t, &pretend{look: func(ctx context.Context, _ host.Question) (host.Answer, error) {
		close(began)
		<-ctx.Done()
		close(stopped)
		return host.Answer{}, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := c.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, nil); !fault.Is(err, fault.Timeout) {
		t.Error(err)
	}
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Error("the far end goes on")
	}
}

func TestSilentPeerIsNoticedByPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		dead := &freezer{Conn: far, frozen: make(chan struct{})}
		go func() {
			_ = wire.Serve(context.Background(), dead, &pretend{look: func(ctx context.Context, _ host.Question) (host.Answer, error) {
				close(dead.frozen)
				<-ctx.Done()
				return host.Answer{}, ctx.Err()
			}}, "test")
		}()
		c, err := wire.Dial(t.Context(), near, "web1")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = c.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil)
		if !fault.Is(err, fault.Unreachable) || time.Since(began) > 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		_ = c.Close()
		_ = far.Close()
	})
}

func TestLostOrderIsUnsure(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		_ = wire.Serve(context.Background(), far, &pretend{do: func(context.Context, act.Order) (act.Outcome, error) {
			_ = far.Close()
			return act.Outcome{}, nil
		}}, "test")
	}()
	c, err := wire.Dial(t.Context(), near, "web1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do(t.Context(), act.Order{ID: "1"}, nil); !fault.Is(err, fault.Unsure) {
		t.Errorf("lost: %v", err)
	}
	if _, err := c.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); !fault.Is(err, fault.Unreachable) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestBegunOrderOutlivesItsConnection(t *testing.T) {
	near, far := net.Pipe()
	began, finished := make(chan struct{}), make(chan error, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- wire.Serve(context.Background(), far, &pretend{do: func(ctx context.Context, o act.Order) (act.Outcome, error) {
			close(began)
			select {
			case <-ctx.Done():
				finished <- ctx.Err()
			case <-time.After(200 * time.Millisecond):
				finished <- nil
			}
			return act.Outcome{Order: o.ID}, nil
		}}, "test")
	}()
	c, err := wire.Dial(t.Context(), near, "web1")
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-began; _ = near.Close() }()
	if _, err := c.Do(t.Context(), act.Order{ID: "1"}, nil); !fault.Is(err, fault.Unsure) {
		t.Errorf("lost: %v", err)
	}
	<-ended // the host part stays until the order has its end
	select {
	case err := <-finished:
		if err != nil {
			t.Errorf("the order was stopped in the middle: %v", err)
		}
	default:
		t.Error("the host part ended before its order")
	}
	_ = c.Close() // closed already
}

func TestLargeAnswerAndPayload(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	var took int64
	c := overPipe(t, &pretend{
		look: func(context.Context, host.Question) (host.Answer, error) {
			return host.Answer{Scan: &scan.Report{Host: big}}, nil
		},
		put: func(_ string, r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			took = n
			return err
		},
	})
	a, err := c.Look(t.Context(), host.Question{Scan: &scan.Question{}}, nil)
	if err != nil || a.Scan.Host != big {
		t.Errorf("answer of %d bytes, %v", len(a.Scan.Host), err)
	}
	if err := c.Put(t.Context(), strings.Repeat("a", 64), strings.NewReader(big)); err != nil || took != int64(len(big)) {
		t.Errorf("payload of %d bytes, %v", took, err)
	}
}

func TestAnswerToAnotherQuestionIsRefused(t *testing.T) {
	c := overPipe(t, &pretend{look: func(context.Context, host.Question) (host.Answer, error) {
		return host.Answer{Health: &host.Health{}}, nil
	}})
	if _, err := c.Look(t.Context(), host.Question{Scan: &scan.Question{}}, nil); !fault.Is(err, fault.Corrupt) {
		t.Error(err)
	}
}

// hostile serves raw frames as the answer to every question.
func hostile(t *testing.T, hello string, answer func(w io.Writer)) (*wire.Client, error) {
	t.Helper()
	near, far := net.Pipe()
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, hello) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: p}
	conns := make(chan net.Conn, 1)
	conns <- far
	go func() { _ = server.Serve(&oneConn{conns: conns, end: make(chan struct{})}) }()
	t.Cleanup(func() { _ = near.Close(); _ = server.Close() })
	return wire.Dial(t.Context(), near, "web1")
}

func frame(kind byte, content string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content))), content...)
}

func TestHostileHosts(t *testing.T) {
	for name, answer := range map[string]func(w io.Writer){
		"garbage":          func(w io.Writer) { _, _ = w.Write(bytes.Repeat([]byte{0xff}, 1000)) },
		"unknown frame":    func(w io.Writer) { _, _ = w.Write(frame('z', "x")) },
		"huge frame":       func(w io.Writer) { _, _ = w.Write([]byte{'a', 0xff, 0xff, 0xff, 0xff}) },
		"not JSON":         func(w io.Writer) { _, _ = w.Write(frame('a', "nothing")) },
		"wrong types":      func(w io.Writer) { _, _ = w.Write(frame('a', `{"health": [1]}`)) },
		"packed nonsense":  func(w io.Writer) { _, _ = w.Write(frame('a', `{"packed":{"v":1,"procs":[[1,1,1,0,0,0,0,7,0]]}}`)) },
		"broken error":     func(w io.Writer) { _, _ = w.Write(frame('e', `{"kind": 5}`)) },
		"endless progress": func(w io.Writer) { forever(w, frame('p', `{"says":"x"}`)) },
		"endless answer":   func(w io.Writer) { forever(w, frame('+', strings.Repeat("x", 1<<20))) },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := hostile(t, `{"wire":[1]}`, answer)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); !fault.Is(err, fault.Corrupt) {
				t.Errorf("%v", err)
			}
			if name == "broken error" {
				return
			}
			if _, err := c.Do(t.Context(), act.Order{ID: "1"}, nil); !fault.Is(err, fault.Unsure) {
				t.Errorf("an order answered so: %v", err)
			}
		})
	}
}

// A host part of before reports were packed sends them as they are.
func TestAReportThatIsNotPackedIsRead(t *testing.T) {
	c, err := hostile(t, `{"wire":[1]}`, func(w io.Writer) { _, _ = w.Write(frame('a', `{"scan":{"host":"web1"}}`)) })
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Look(t.Context(), host.Question{Scan: &scan.Question{}}, nil); err != nil || a.Scan == nil || a.Scan.Host != "web1" {
		t.Errorf("%+v, %v", a, err)
	}
}

func forever(w io.Writer, what []byte) {
	for {
		if _, err := w.Write(what); err != nil {
			return
		}
	}
}

func TestEscapesOfHostsDoNotReachTheTerminal(t *testing.T) {
	c, err := hostile(t, `{"wire":[1],"version":"\u001b[31m"}`, func(w io.Writer) {
		_, _ = w.Write(frame('p', `{"says":"\u001b]0;pwned\u0007"}`))
		_, _ = w.Write(frame('e', `{"kind":"denied","what":"\u001b[2J\u202e"}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	said := c.Hello().Version
	_, err = c.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, func(p host.Progress) { said += p.Says })
	if said += err.Error(); strings.ContainsAny(said, "\x1b\x07\u202e") {
		t.Errorf("%q", said)
	}
}

func TestVersions(t *testing.T) {
	for hello, kind := range map[string]fault.Kind{
		`{"wire":[1,2]}`: "", `{"wire":[7]}`: fault.Unsupported, `{"wire":[]}`: fault.Unsupported, `nothing`: fault.Corrupt, `{"wire":"1"}`: fault.Corrupt,
	} {
		if _, err := hostile(t, hello, func(io.Writer) {}); fault.KindOf(err) != kind {
			t.Errorf("%s: %v", hello, err)
		}
	}
}

func TestHostilePeersOfTheHostPart(t *testing.T) {
	for name, bytes := range map[string]string{
		"garbage":      strings.Repeat("\xff", 1000),
		"HTTP/1":       "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
		"half preface": "PRI * HTTP/2.0\r\n",
		"TLS":          "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- wire.Serve(t.Context(), far, &pretend{}, "test") }()
			go func() { _, _ = io.Copy(io.Discard, near) }()
			_, _ = io.WriteString(near, bytes) // it may hang up in the middle
			_ = near.Close()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Error("the host part does not end")
			}
		})
	}
}

func TestBrokenQuestions(t *testing.T) {
	near, far := net.Pipe()
	go func() { _ = wire.Serve(t.Context(), far, &pretend{}, "test") }()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: p, DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}}
	t.Cleanup(func() { client.CloseIdleConnections(); _ = near.Close() })
	for _, body := range []string{"", "x", `{"scan":5}`, `[]`, strings.Repeat("[", 100_000)} {
		resp, err := client.Post("http://host/v1/look", "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var f fault.Error
		if err != nil || len(b) < 5 || b[0] != 'e' || json.Unmarshal(b[5:], &f) != nil || f.Kind != fault.Usage {
			t.Errorf("%.20q: %q, %v", body, b, err)
		}
	}
}

func greeted(nonce string) func(string) bool {
	return func(line string) bool { return line == wire.Greeting(nonce) }
}

func TestNoiseBeforeTheGreeting(t *testing.T) {
	for _, c := range []struct{ sent, noise string }{
		{"\nstaunch-host n1\nrest", "\n"},
		{"Welcome!\r\nlast login\n\nstaunch-host n1\nrest", "Welcome!\r\nlast login\n\n"},
		{"staunch-host n0\nstaunch-host n1\nrest", "staunch-host n0\n"},
	} {
		r := bufio.NewReader(strings.NewReader(c.sent))
		_, noise, err := wire.SkipTo(r, greeted("n1"))
		rest, _ := io.ReadAll(r)
		if err != nil || noise != c.noise || string(rest) != "rest" {
			t.Errorf("%q: noise %q, rest %q, %v", c.sent, noise, rest, err)
		}
	}
	if _, _, err := wire.SkipTo(bufio.NewReader(strings.NewReader(strings.Repeat("x", 1<<20))), greeted("n")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("endless noise: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(frame('a', `{"health":{"clock_ms":1,"version":"1"}}`))
	f.Add(append(frame('p', `{"says":"x"}`), frame('e', `{"kind":"denied","what":"no"}`)...))
	f.Add(frame('a', `{"packed":{"v":1,"words":["","/bin/x"],"lists":[[]],"procs":[[7,1,0,1,1,0,0,0,-1]],"dormant":[[1,-1,0,0,0,-1]]}}`))
	f.Add(append(frame('+', `{"scan"`), frame('a', `:{}}`)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := wire.ReadAnswer(bytes.NewReader(b))
		if err == nil && a.Kind() == "" {
			t.Skip() // valid JSON that answers nothing; Look refuses it by kind
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\x07") {
			t.Errorf("%q", err)
		}
	})
}

func FuzzSkip(f *testing.F) {
	f.Add([]byte("noise\nstaunch-host n1\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		_, noise, err := wire.SkipTo(r, greeted("n1"))
		if err == nil && !bytes.HasPrefix(b, []byte(noise+"staunch-host n1")) {
			t.Errorf("%q: noise %q", b, noise)
		}
	})
}
