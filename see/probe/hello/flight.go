package hello

import (
	"errors"
	"fmt"
)

// Flight is what a server said to one ClientHello, as far as it was read.
type Flight struct {
	Hello        *Server
	Certificates [][]byte // DER, leaf first
	Staple       []byte
	KeyExchange  *KeyExchange
	WantsClient  bool // asked for a client certificate
	Done         bool // ServerHelloDone was seen
	Ticket       []byte
	Raw          []byte // the handshake messages as received, when kept
}

// Until says where to stop reading.
type Until int

// Where a reader of a flight may stop.
const (
	UntilHello Until = iota // after the ServerHello: enough to learn version, suite and group
	UntilKeys               // after the ServerKeyExchange, where the suite has one
	UntilDone               // after the ServerHelloDone
)

// Reader collects handshake messages out of records.
type Reader struct {
	*Records
	buffered []byte
	Keep     bool // keep the raw messages in the flight
}

// NewReader reads flights from r.
func NewReader(r *Records) *Reader { return &Reader{Records: r} }

// Flight reads one flight. An Alert comes back as an error of type Alert beside what was read before it.
func (r *Reader) Flight(until Until) (*Flight, error) {
	f := &Flight{}
	for {
		kind, body, err := r.Message()
		if err != nil {
			return f, err
		}
		if r.Keep {
			n := len(body)
			f.Raw = append(append(f.Raw, kind, byte(n>>16), byte(n>>8), byte(n)), body...)
		}
		if err := f.add(kind, body); err != nil {
			return f, err
		}
		if f.Done || until == UntilHello || f.Hello.Version >= TLS13 || until == UntilKeys && (f.KeyExchange != nil || !Named(f.Hello.Suite).ForwardSecret()) {
			return f, nil
		}
	}
}

func (f *Flight) add(kind byte, body []byte) (err error) {
	if f.Hello == nil && kind != typeServerHello {
		return fmt.Errorf("%w: message %d before the ServerHello", ErrBroken, kind)
	}
	switch kind {
	case typeServerHello:
		if f.Hello != nil {
			return fmt.Errorf("%w: two ServerHellos", ErrBroken)
		}
		f.Hello, err = ParseServer(body)
	case typeCertificate:
		f.Certificates, err = parseCertificates(body)
	case typeCertificateStatus:
		f.Staple = parseStatus(body)
	case typeServerKeyExchange:
		f.KeyExchange, err = parseKeyExchange(body, Named(f.Hello.Suite), f.Hello.Version)
	case typeCertificateRequest:
		f.WantsClient = true
	case typeServerHelloDone:
		f.Done = true
	}
	return err
}

// Message reads one handshake message, over as many records as it takes.
func (r *Reader) Message() (kind byte, body []byte, err error) {
	for {
		if len(r.buffered) >= 4 {
			size := int(r.buffered[1])<<16 | int(r.buffered[2])<<8 | int(r.buffered[3])
			if size > MaxMessage {
				return 0, nil, fmt.Errorf("%w: a message of %d bytes", ErrTooMuch, size)
			}
			if len(r.buffered) >= 4+size {
				kind, body = r.buffered[0], r.buffered[4:4+size:4+size]
				r.buffered = r.buffered[4+size:]
				return kind, body, nil
			}
		}
		if err := r.more(); err != nil {
			return 0, nil, err
		}
	}
}

func (r *Reader) more() error {
	record, err := r.Next()
	if err != nil {
		return err
	}
	switch record.Kind {
	case RecordHandshake:
		if len(record.Body) == 0 {
			return fmt.Errorf("%w: an empty record", ErrBroken)
		}
		r.buffered = append(r.buffered, record.Body...)
		return nil
	case RecordAlert:
		alert, err := parseAlert(record.Body)
		if err != nil {
			return err
		}
		if alert.Level == 1 && alert.Code == AlertUnrecognizedName {
			return nil // a warning; the handshake goes on
		}
		return alert
	}
	return fmt.Errorf("%w: a record of type %d in the handshake", ErrBroken, record.Kind)
}

// IsAlert gives the alert in err's chain.
func IsAlert(err error) (Alert, bool) {
	var a Alert
	ok := errors.As(err, &a)
	return a, ok
}
