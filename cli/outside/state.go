package outside

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"

	"staunch/fault"
	"staunch/see/probe"
)

// probeState keeps results in a file as they come, so that a stopped run can go on: a first line that names the question, then one result a line.
type probeState struct {
	file    *os.File
	earlier []probe.Result
	seen    map[seenEndpoint]bool
}

type seenEndpoint struct {
	target, address, sni, starttls string
	port                           int
}

type stateHead struct {
	Probe    int    `json:"probe_state"` // format of the file
	Question string `json:"question"`    // digest of everything but the targets
}

// openProbeState reads what an earlier run kept. Fault Conflict when the file is about another question.
func openProbeState(path string, q probe.Question) (*probeState, error) {
	s := &probeState{seen: map[seenEndpoint]bool{}}
	if path == "" {
		return s, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Usage, "cannot open the state file").Caused(err)
	}
	s.file = f
	if err := s.read(path, q); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return s, nil
}

func (s *probeState) read(path string, q probe.Question) error {
	want := stateHead{Probe: 1, Question: questionDigest(q)}
	in := bufio.NewReader(s.file)
	line, err := in.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return json.NewEncoder(s.file).Encode(want)
	}
	var head stateHead
	if err != nil || json.Unmarshal(line, &head) != nil || head.Probe != 1 {
		return fault.New(fault.Conflict, "%s is not a state file of staunch probe", path).Hinted("name another file")
	}
	if head != want {
		return fault.New(fault.Conflict, "%s is the state of a probe with other options", path).Hinted("use the same options, or another file")
	}
	good := int64(len(line))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break // the end, or a last line that was cut off: it is written again
		}
		var r probe.Result
		if json.Unmarshal(line, &r) != nil {
			return fault.New(fault.Corrupt, "%s is damaged at byte %d", path, good).Hinted("remove it to start again")
		}
		good += int64(len(line))
		if r.Error != "" {
			continue // what could not be seen is asked again
		}
		s.earlier = append(s.earlier, r)
		s.seen[seenEndpoint{r.Target, r.Address, r.SNI, r.StartTLS, r.Port}] = true
	}
	if err := s.file.Truncate(good); err != nil {
		return fault.New(fault.Full, "cannot write the state file").Caused(err)
	}
	_, err = s.file.Seek(good, io.SeekStart)
	return err
}

func questionDigest(q probe.Question) string {
	q.Targets, q.Allow = nil, nil
	q.AtOnce, q.PerSecond, q.TotalRate, q.Parallel = 0, 0, 0, 0
	b, _ := json.Marshal(q) // a question holds nothing that cannot be written
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (s *probeState) done(e probe.Endpoint) bool {
	return s.seen[seenEndpoint{e.Target, e.Address.String(), e.SNI, e.StartTLS, int(e.Port)}]
}

func (s *probeState) add(r probe.Result) error {
	if s.file == nil {
		return nil
	}
	if err := json.NewEncoder(s.file).Encode(r); err != nil {
		return fault.New(fault.Full, "cannot write the state file").Caused(err)
	}
	return nil
}

func (s *probeState) close() {
	if s.file != nil {
		_ = s.file.Close() // every line was written and checked
	}
}
