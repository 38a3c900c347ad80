package hello

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// sample is a flight of a TLS 1.2 server in several records.
func sample() []byte {
	body := append([]byte{3, 3}, bytes.Repeat([]byte{7}, 32)...)
	body = append(body, 4, 1, 2, 3, 4, 0xc0, 0x2f, 0, 0, 10, 0, 15, 0, 1, 1, 0xff, 1, 0, 1, 0)
	cert := []byte{0, 0, 6, 0, 0, 3, 0xaa, 0xbb, 0xcc}
	exchange := []byte{3, 0, 0x17, 2, 4, 5, 4, 1, 0, 0}
	var all []byte
	for _, m := range []struct {
		kind byte
		body []byte
	}{{2, body}, {11, cert}, {12, exchange}, {13, []byte{0}}, {14, nil}} {
		all = append(all, m.kind, 0, byte(len(m.body)>>8), byte(len(m.body)))
		all = append(all, m.body...)
	}
	var out []byte
	for len(all) > 0 {
		n := min(7, len(all))
		out = append(out, Record(RecordHandshake, TLS12, all[:n])...)
		all = all[n:]
	}
	return out
}

// One flight, however it is cut: over records, byte by byte.
func TestFlightIsReassembled(t *testing.T) {
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(sample()), "byte by byte": iotest.OneByteReader(bytes.NewReader(sample()))} {
		t.Run(name, func(t *testing.T) {
			f, err := NewReader(NewRecords(r)).Flight(UntilDone)
			if err != nil {
				t.Fatal(err)
			}
			h := f.Hello
			if h.Version != TLS12 || h.Suite != 0xc02f || h.Heartbeat != 1 || !h.Renegotiate || !bytes.Equal(h.SessionID, []byte{1, 2, 3, 4}) {
				t.Errorf("hello %+v", h)
			}
			if len(f.Certificates) != 1 || string(f.Certificates[0]) != "\xaa\xbb\xcc" || !f.Done || !f.WantsClient {
				t.Errorf("flight %+v", f)
			}
			if k := f.KeyExchange; k == nil || k.Group != 0x17 || k.Signature != 0x0401 {
				t.Errorf("key exchange %+v", k)
			}
		})
	}
}

// A server that lies, goes on for ever or breaks off is an error, within the limits.
func TestHostileRecords(t *testing.T) {
	endless := func(one []byte) io.Reader { return &repeating{one: one} }
	long := make([]byte, 0, 6)
	long = append(long, 22, 3, 3, 0xff, 0xff, 0)
	huge := Record(RecordHandshake, TLS12, []byte{2, 0xff, 0xff, 0xff})
	for name, c := range map[string]struct {
		in   io.Reader
		want error
	}{
		"text":                     {strings.NewReader("220 mail.example.org ESMTP\r\n"), ErrNotTLS},
		"HTTP":                     {strings.NewReader("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrNotTLS},
		"nothing":                  {strings.NewReader(""), io.EOF},
		"half a header":            {bytes.NewReader([]byte{22, 3}), io.ErrUnexpectedEOF},
		"half a record":            {bytes.NewReader([]byte{22, 3, 3, 0, 9, 1}), io.ErrUnexpectedEOF},
		"a record of 64 KB":        {bytes.NewReader(long), ErrTooMuch},
		"a message of 16 MB":       {bytes.NewReader(huge), ErrTooMuch},
		"endless messages":         {io.MultiReader(bytes.NewReader(sample()[:0]), endless(Record(RecordHandshake, TLS12, []byte{0, 0, 0, 0}))), ErrBroken},
		"endless warnings":         {endless(Record(RecordAlert, TLS12, []byte{1, 112})), ErrTooMuch},
		"empty records":            {endless(Record(RecordHandshake, TLS12, nil)), ErrBroken},
		"an alert":                 {bytes.NewReader(Record(RecordAlert, TLS12, []byte{2, 40})), Alert{2, 40}},
		"a short alert":            {bytes.NewReader(Record(RecordAlert, TLS12, []byte{2})), ErrBroken},
		"data first":               {bytes.NewReader(Record(RecordApplication, TLS12, []byte("x"))), ErrBroken},
		"certificate first":        {bytes.NewReader(Record(RecordHandshake, TLS12, []byte{11, 0, 0, 0})), ErrBroken},
		"a ServerHello cut short":  {bytes.NewReader(Record(RecordHandshake, TLS12, []byte{2, 0, 0, 3, 3, 3, 0})), ErrBroken},
		"version 9 of the records": {bytes.NewReader([]byte{22, 9, 9, 0, 1, 0}), ErrNotTLS},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewReader(NewRecords(c.in)).Flight(UntilDone); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// repeating is a server that never stops.
type repeating struct {
	one []byte
	at  int
}

func (r *repeating) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.one[r.at%len(r.one)]
		r.at++
	}
	return len(p), nil
}

// Every hello that we send must be well formed: crypto/tls, which is strict, reads each of them.
func TestHellosAreWellFormed(t *testing.T) {
	for name, c := range map[string]Client{
		"everything for 1.2": {
			Version: TLS12, Suites: Suites(TLS12), ServerName: "www.example.org", Groups: GroupIDs(Groups(TLS12)), Signatures: SignatureIDs(), ALPN: []string{"h2", "http/1.1"},
			Heartbeat: true, Deflate: true, Staple: true, Timestamps: true, Ticket: true, Renegotiate: true, SessionID: bytes.Repeat([]byte{1}, 32), TicketValue: []byte("ticket"), Fallback: true,
		},
		"everything for 1.3": {Version: TLS13, Suites: Suites(TLS13), ServerName: "www.example.org", Groups: GroupIDs(Groups(TLS13)), Signatures: SignatureIDs(), SessionID: make([]byte, 32)},
		"one suite":          {Version: TLS12, Suites: []uint16{0xc02f}},
		"in the gap":         {Version: TLS12, Suites: Suites(TLS12)[:90], Groups: []uint16{0x17}, Signatures: []uint16{0x0401}},
	} {
		t.Run(name, func(t *testing.T) {
			info := serverReads(t, c)
			if info == nil {
				t.Fatal("crypto/tls cannot read it")
			}
			if info.ServerName != c.ServerName || len(info.CipherSuites) < len(c.Suites) {
				t.Errorf("it reads name %q and %d suites", info.ServerName, len(info.CipherSuites))
			}
			if n := len(c.Message()); n >= 256 && n < 512 {
				t.Errorf("%d bytes: some load balancers hang at that", n)
			}
		})
	}
}

func serverReads(t *testing.T, c Client) *tls.ClientHelloInfo {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	var seen *tls.ClientHelloInfo
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		config := &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			seen = i
			return nil, errors.New("enough")
		}}
		_ = tls.Server(theirs, config).Handshake() // it fails on purpose, when the hello was read
	}()
	go func() { _, _ = io.Copy(io.Discard, ours) }()
	if _, err := ours.Write(c.Marshal()); err != nil {
		t.Fatal(err)
	}
	<-done
	return seen
}

// The properties of suites come from their names.
func TestSuitesByName(t *testing.T) {
	for id, want := range map[uint16]struct {
		bits                                              int
		aead, fs, export, anon, null, rc4, block64, rsaKX bool
	}{
		0x0003: {bits: 40, export: true, rc4: true, rsaKX: true},
		0x0005: {bits: 128, rc4: true, rsaKX: true},
		0x0009: {bits: 56, block64: true, rsaKX: true},
		0x000a: {bits: 112, block64: true, rsaKX: true},
		0x0002: {bits: 0, null: true, rsaKX: true},
		0x0034: {bits: 128, anon: true, fs: true},
		0x0062: {bits: 56, export: true, block64: true, rsaKX: true},
		0x009d: {bits: 256, aead: true, rsaKX: true},
		0xc013: {bits: 128, fs: true},
		0xc030: {bits: 256, aead: true, fs: true},
		0xc0ae: {bits: 128, aead: true, fs: true},
		0xcca8: {bits: 256, aead: true, fs: true},
		0x1302: {bits: 256, aead: true, fs: true},
		0xc0b4: {bits: 0, null: true, fs: true},
	} {
		s := Named(id)
		if s.Bits() != want.bits || s.AEAD() != want.aead || s.ForwardSecret() != want.fs || s.Export() != want.export || s.Anonymous() != want.anon ||
			s.Null() != want.null || s.RC4() != want.rc4 || s.Block64() != want.block64 || s.RSAKeyExchange() != want.rsaKX {
			t.Errorf("0x%04x %s: bits %d aead %v fs %v export %v anon %v null %v rc4 %v block64 %v rsa %v, want %+v", id, s.Name,
				s.Bits(), s.AEAD(), s.ForwardSecret(), s.Export(), s.Anonymous(), s.Null(), s.RC4(), s.Block64(), s.RSAKeyExchange(), want)
		}
	}
	if n := len(Suites(TLS12)); n < 330 {
		t.Errorf("only %d suites for TLS 1.2", n)
	}
	if got := Named(0xfafa).Name; got != "UNKNOWN_0xfafa" {
		t.Errorf("an unknown suite is %q", got)
	}
}

// An SSLv2 answer with a certificate and two ciphers, one with none, and things that are no answer.
func TestSSLv2(t *testing.T) {
	answer := func(specs ...byte) []byte {
		body := []byte{4, 0, 1, 0, 2, 0, 3, byte(len(specs) >> 8), byte(len(specs)), 0, 4, 'c', 'r', 't'}
		body = append(append(body, specs...), 1, 2, 3, 4)
		return append([]byte{0x80, byte(len(body))}, body...)
	}
	got, err := ReadV2(bytes.NewReader(answer(1, 0, 0x80, 7, 0, 0xc0)))
	if err != nil || string(got.Certificate) != "crt" || len(got.Suites) != 2 || got.Suites[1] != 0x0700c0 {
		t.Errorf("%+v %v", got, err)
	}
	if got, err = ReadV2(bytes.NewReader(answer())); err != nil || len(got.Suites) != 0 {
		t.Errorf("no ciphers: %+v %v", got, err)
	}
	for _, bad := range [][]byte{{}, {0x80}, Record(RecordAlert, TLS10, []byte{2, 70}), answer(1, 2), {0x80, 11, 4, 0, 1, 0, 2, 0xff, 0xff, 0, 0, 0, 0}} {
		if got, err := ReadV2(bytes.NewReader(bad)); err == nil {
			t.Errorf("%x is read as %+v", bad, got)
		}
	}
}

func FuzzFlight(f *testing.F) {
	f.Add(sample())
	f.Add(Record(RecordAlert, TLS12, []byte{2, 40}))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		flight, err := NewReader(NewRecords(bytes.NewReader(data))).Flight(UntilDone)
		if err == nil && flight.Hello == nil {
			t.Error("a flight without a hello and without an error")
		}
		if len(flight.Certificates) > maxChain {
			t.Errorf("%d certificates", len(flight.Certificates))
		}
	})
}

func FuzzServerHello(f *testing.F) {
	f.Add(sample()[9:80])
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := ParseServer(data); err == nil && len(s.SessionID) > 32 {
			t.Errorf("a session id of %d bytes", len(s.SessionID))
		}
	})
}

func FuzzSSLv2(f *testing.F) {
	f.Add([]byte{0x80, 11, 4, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := ReadV2(bytes.NewReader(data)); err == nil && 3*len(v.Suites)+len(v.Certificate) > len(data) {
			t.Error("more came out than went in")
		}
	})
}
