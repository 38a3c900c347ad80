package hello

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits on what one server may send us before encryption starts.
const (
	MaxRecord  = 16384 + 2048 // RFC 5246 section 6.2.3
	MaxMessage = 256 << 10    // one handshake message; long chains stay far below
	MaxTotal   = 1 << 20      // everything that is read from one connection
)

// What can go wrong before the first record is understood. Callers branch on these.
var (
	ErrNotTLS  = errors.New("the answer is not TLS")
	ErrTooMuch = errors.New("the answer is longer than any honest one")
	ErrBroken  = errors.New("the answer breaks the protocol")
)

// Records reads records from a connection, within limits.
type Records struct {
	from  io.Reader
	total int
}

// NewRecords reads from r. Deadlines are the caller's.
func NewRecords(r io.Reader) *Records { return &Records{from: r} }

// RecordRead is one unit of the record layer, as it was read.
type RecordRead struct {
	Kind    byte
	Version uint16
	Body    []byte
}

// Next reads one record. Errors: ErrNotTLS, ErrTooMuch, or what the reader said (io.EOF only between records).
func (r *Records) Next() (RecordRead, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.from, head[:1]); err != nil {
		return RecordRead{}, err
	}
	if head[0] < RecordChangeCipherSpec || head[0] > RecordHeartbeat {
		return RecordRead{}, fmt.Errorf("%w: it starts with byte 0x%02x", ErrNotTLS, head[0])
	}
	if _, err := io.ReadFull(r.from, head[1:]); err != nil {
		return RecordRead{}, unexpected(err)
	}
	size := int(binary.BigEndian.Uint16(head[3:]))
	switch {
	case head[1] != 3:
		return RecordRead{}, fmt.Errorf("%w: record version %d.%d", ErrNotTLS, head[1], head[2])
	case size > MaxRecord:
		return RecordRead{}, fmt.Errorf("%w: a record of %d bytes", ErrTooMuch, size)
	}
	if r.total += size + 5; r.total > MaxTotal {
		return RecordRead{}, fmt.Errorf("%w: more than %d bytes", ErrTooMuch, MaxTotal)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r.from, body); err != nil {
		return RecordRead{}, unexpected(err)
	}
	return RecordRead{Kind: head[0], Version: binary.BigEndian.Uint16(head[1:]), Body: body}, nil
}

// unexpected turns an end in the middle into what it is.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Alert is a TLS alert; as an error it says that the server refused.
type Alert struct {
	Level, Code byte
}

// Alert codes that decide something.
const (
	AlertCloseNotify      byte = 0
	AlertUnexpected       byte = 10
	AlertHandshakeFailure byte = 40
	AlertProtocolVersion  byte = 70
	AlertUnrecognizedName byte = 112
)

// Error names the alert.
func (a Alert) Error() string {
	names := map[byte]string{
		0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure", 42: "bad_certificate",
		47: "illegal_parameter", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
		80: "internal_error", 86: "inappropriate_fallback", 100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension",
		112: "unrecognized_name", 116: "certificate_required", 120: "no_application_protocol",
	}
	if name := names[a.Code]; name != "" {
		return "alert " + name
	}
	return fmt.Sprintf("alert %d", a.Code)
}

func parseAlert(body []byte) (Alert, error) {
	if len(body) < 2 {
		return Alert{}, fmt.Errorf("%w: an alert of %d bytes", ErrBroken, len(body))
	}
	return Alert{Level: body[0], Code: body[1]}, nil
}
