// Package wire is both ends of the conversation with a host, over any byte stream: HTTP/2 without TLS, answers as frames.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"io"

	"staunch/fault"
	"staunch/reach/host"
	"staunch/tame"
)

// Limits of the conversation. A peer that goes beyond them is cut off.
const (
	MaxFrame    = 1 << 20  // bytes in one frame
	MaxAnswer   = 64 << 20 // bytes in one answer
	MaxQuestion = 16 << 20 // bytes in one question or order
	MaxNoise    = 64 << 10 // bytes before the nonce line
	MaxPayload  = 1 << 30  // bytes of one Put
	maxSteps    = 100_000  // progress frames before one answer
)

// A frame is one kind byte, its length in four bytes (big-endian), and its content:
// progress* (part* answer | error).
const (
	frameProgress = 'p' // JSON of host.Progress
	framePart     = '+' // part of an answer, more follows
	frameAnswer   = 'a' // the last part: all parts together are the answer's JSON
	frameError    = 'e' // JSON of a fault
)

func writeFrame(w io.Writer, kind byte, content []byte) error {
	head := make([]byte, 5, 5+len(content))
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(content)))
	_, err := w.Write(append(head, content...))
	return err
}

// writeAnswer writes an answer in frames that each are within the limit.
func writeAnswer(w io.Writer, answer any) error {
	b, err := json.Marshal(answer)
	if err != nil {
		return writeError(w, fault.New(fault.Bug, "the answer cannot be encoded: %v", err))
	}
	if len(b) > MaxAnswer {
		return writeError(w, fault.New(fault.Full, "the answer has %d bytes, the limit is %d", len(b), MaxAnswer).Hinted("ask for less at once: some units, some processes"))
	}
	for len(b) > MaxFrame {
		if err := writeFrame(w, framePart, b[:MaxFrame]); err != nil {
			return err
		}
		b = b[MaxFrame:]
	}
	return writeFrame(w, frameAnswer, b)
}

func writeError(w io.Writer, err error) error {
	b, bad := json.Marshal(fault.From(err, fault.Bug))
	if bad != nil || len(b) > MaxFrame {
		b = []byte(`{"kind":"bug","what":"an error that cannot be encoded"}`)
	}
	return writeFrame(w, frameError, b)
}

// readFrame reads one frame. What is not a frame is a Corrupt fault; an end of the stream is io.EOF or io.ErrUnexpectedEOF.
func readFrame(r io.Reader) (kind byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > MaxFrame {
		return 0, nil, fault.New(fault.Corrupt, "the host sent a frame of %d bytes, the limit is %d", n, MaxFrame)
	}
	content = make([]byte, n)
	_, err = io.ReadFull(r, content)
	return head[0], content, err
}

// readAnswer reads frames up to the answer, which it decodes into answer, or up to the error, which it returns as a fault.
func readAnswer(r io.Reader, answer any, progress func(host.Progress)) error {
	var whole []byte
	for range maxSteps + MaxAnswer/MaxFrame {
		kind, content, err := readFrame(r)
		if err != nil {
			return err
		}
		switch kind {
		case frameProgress:
			var p host.Progress
			if err := json.Unmarshal(content, &p); err != nil {
				return fault.New(fault.Corrupt, "the host sent a broken progress report")
			}
			p.Says = tame.Text(p.Says)
			if progress != nil {
				progress(p)
			}
		case framePart, frameAnswer:
			if len(whole)+len(content) > MaxAnswer {
				return fault.New(fault.Corrupt, "the host's answer is over %d bytes", MaxAnswer)
			}
			whole = append(whole, content...)
			if kind == frameAnswer {
				return decode(whole, answer)
			}
		case frameError:
			return decodeFault(content)
		default:
			return fault.New(fault.Corrupt, "the host sent a frame of unknown kind %d", kind)
		}
	}
	return fault.New(fault.Corrupt, "the host sends progress without end")
}

func decode(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		return fault.New(fault.Corrupt, "the host's answer cannot be read: %s", tame.Text(err.Error()))
	}
	return nil
}

func decodeFault(b []byte) error {
	var f fault.Error
	if err := json.Unmarshal(b, &f); err != nil || f.Kind == "" {
		return fault.New(fault.Corrupt, "the host sent a broken error")
	}
	f.What, f.Hint = tame.Text(f.What), tame.Text(f.Hint)
	return &f
}
