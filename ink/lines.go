package ink

import (
	"fmt"
	"io"
)

// Lines is text that is written line by line; it remembers the first error, so that printing reads as a list of lines.
type Lines struct {
	W   io.Writer
	Err error
}

// Write takes what others lay out, a table for one.
func (l *Lines) Write(b []byte) (int, error) {
	if l.Err != nil {
		return len(b), nil
	}
	_, l.Err = l.W.Write(b)
	return len(b), nil
}

// Say writes one line.
func (l *Lines) Say(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }
