package wire

import (
	"io"

	"staunch/reach/host"
)

// ReadAnswer lets the fuzz test at the frames.
func ReadAnswer(r io.Reader) (host.Answer, error) {
	var t travelling
	if err := readAnswer(r, &t, nil); err != nil {
		return host.Answer{}, err
	}
	return t.open()
}
