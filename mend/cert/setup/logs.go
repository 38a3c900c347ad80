package setup

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
)

// maxLog bounds what a log's file or URL may hold.
const maxLog = 64 << 20

// AllLogs are the sources of certs.yaml and those of the command line.
func (c *File) AllLogs(more []string) []string { return append(slices.Clone(c.Logs), more...) }

// ReadLogs reads certificates that transparency logs hold for our names, from files or URLs: PEM, or crt.sh's JSON with a "certificate" or "pem" field.
func ReadLogs(ctx context.Context, sources []string) ([]cert.Logged, error) {
	var out []cert.Logged
	for _, src := range sources {
		b, err := readSource(ctx, src)
		if err != nil {
			return nil, err
		}
		n := len(out)
		if trimmed := strings.TrimSpace(string(b)); strings.HasPrefix(trimmed, "[") {
			var rows []struct{ PEM, Certificate, Cert string }
			if err := json.Unmarshal(b, &rows); err != nil {
				return nil, fault.New(fault.Corrupt, "%s: %v", src, err)
			}
			b = nil
			for _, r := range rows {
				b = append(b, (cmp.Or(r.PEM, r.Certificate, r.Cert) + "\n")...)
			}
		}
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				out = append(out, cert.Logged{DER: block.Bytes, Source: src})
			}
		}
		if len(out) == n {
			return nil, fault.New(fault.Corrupt, "%s holds no certificates", src).Hinted("a log's entries are wanted whole: PEM, or a JSON list of objects with a field \"pem\"")
		}
	}
	return out, nil
}

func readSource(ctx context.Context, src string) ([]byte, error) {
	if !strings.HasPrefix(src, "https://") && !strings.HasPrefix(src, "http://") {
		f, err := os.Open(src)
		if err != nil {
			return nil, fault.New(fault.Denied, "the log's entries: %v", err)
		}
		defer f.Close()
		return ReadLimited(f, src)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, src, nil)
	if err != nil {
		return nil, fault.New(fault.Usage, "%s cannot be asked: %v", src, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unreachable, "%s does not answer: %v", src, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fault.New(fault.Unreachable, "%s answers %s", src, resp.Status)
	}
	return ReadLimited(resp.Body, src)
}

// ReadLimited reads all of what src holds, at most 64 MB: Full above that, Unreachable where it breaks off.
func ReadLimited(r io.Reader, src string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxLog+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.Unreachable, "%s: %v", src, err)
	case len(b) > maxLog:
		return nil, fault.New(fault.Full, "%s has more than %d MB", src, maxLog>>20)
	}
	return b, nil
}
