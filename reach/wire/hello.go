package wire

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"staunch/fault"
)

// Versions are the versions of the wire that this program speaks, the newest last.
func Versions() []int { return []int{1} }

// Hello is what a host part says of itself.
type Hello struct {
	Wire    []int  `json:"wire"`
	Version string `json:"version"` // of staunch
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// agree picks the newest version that both speak.
func agree(name string, h Hello) (int, error) {
	ours := Versions()
	for _, v := range slices.Backward(ours) {
		if slices.Contains(h.Wire, v) {
			return v, nil
		}
	}
	if len(h.Wire) > 0 && slices.Max(h.Wire) > slices.Max(ours) {
		return 0, fault.New(fault.Unsupported, "%s speaks wire versions %v, this program speaks %v", name, h.Wire, ours).Hinted("this staunch is too old for the host's agent: upgrade it")
	}
	return 0, fault.New(fault.Unsupported, "%s speaks wire versions %v, this program speaks %v", name, h.Wire, ours).Hinted("the host's agent is too old: upgrade it, or reach the host over ssh")
}

// Greeting is the line with which a host part begins: what came before it on the stream is noise of login scripts.
func Greeting(nonce string) string { return "staunch-host " + nonce }

// SkipTo reads up to and with the first line that is wanted, and returns it and the noise before it.
func SkipTo(r *bufio.Reader, wanted func(line string) bool) (line, noise string, err error) {
	var all strings.Builder
	var here []byte
	for all.Len() < MaxNoise {
		c, err := r.ReadByte()
		if err != nil {
			return "", all.String(), err
		}
		all.WriteByte(c)
		if c != '\n' {
			here = append(here, c)
			continue
		}
		if text := strings.TrimSuffix(string(here), "\r"); wanted(text) {
			return text, all.String()[:all.Len()-len(here)-1], nil
		}
		here = here[:0]
	}
	return "", all.String(), fault.New(fault.Corrupt, "the host sent %d KB and did not greet", MaxNoise>>10).Hinted("login scripts must be silent for commands: look at ~/.bashrc on the host")
}

// Greet writes the greeting, after an empty line that ends whatever stood there.
func Greet(w io.Writer, nonce string) error {
	_, err := io.WriteString(w, "\n"+Greeting(nonce)+"\n")
	return err
}
