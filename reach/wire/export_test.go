package wire

import (
	"io"

	"staunch/reach/host"
)

// ReadAnswer lets the fuzz test at the frames.
func ReadAnswer(r io.Reader) (a host.Answer, err error) {
	err = readAnswer(r, &a, nil)
	return a, err
}
