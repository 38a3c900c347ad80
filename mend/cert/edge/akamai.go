package edge

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// Akamai drives third-party certificates of the Certificate Provisioning System (CPS API v2): Akamai makes key and CSR, we bring the
// chain, two acknowledgements follow. Not verified against the vendor.
type Akamai struct{ api api }

// AkamaiCredentials are those of one API client (the fields of an .edgerc section).
type AkamaiCredentials struct{ Host, ClientToken, ClientSecret, AccessToken string }

// NewAkamai takes credentials; base is "" for the real thing.
func NewAkamai(c AkamaiCredentials, base string) *Akamai {
	if base == "" {
		base = "https://" + c.Host
	}
	return &Akamai{api{base: base, client: &http.Client{}, sign: func(r *http.Request, body []byte) error { return c.sign(r, body, time.Now()) }}}
}

// maxSigned is how much of a POST body the signature covers (EdgeGrid authentication, "max body").
const maxSigned = 131072

// sign adds the EG1-HMAC-SHA256 header of Akamai's EdgeGrid authentication.
func (c AkamaiCredentials) sign(r *http.Request, body []byte, at time.Time) error {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return fault.New(fault.Bug, "no randomness: %v", err)
	}
	r.Header.Set("Authorization", c.header(r, body, at, hex.EncodeToString(nonce)))
	return nil
}

func (c AkamaiCredentials) header(r *http.Request, body []byte, at time.Time, nonce string) string {
	stamp := at.UTC().Format("20060102T15:04:05-0700")
	head := fmt.Sprintf("EG1-HMAC-SHA256 client_token=%s;access_token=%s;timestamp=%s;nonce=%s;", c.ClientToken, c.AccessToken, stamp, nonce)
	hash := ""
	if r.Method == http.MethodPost && len(body) > 0 {
		sum := sha256.Sum256(body[:min(len(body), maxSigned)])
		hash = base64.StdEncoding.EncodeToString(sum[:])
	}
	data := strings.Join([]string{r.Method, r.URL.Scheme, r.URL.Host, r.URL.RequestURI(), "", hash, head}, "\t")
	return head + "signature=" + mac(mac(c.ClientSecret, stamp), data)
}

func mac(key, data string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(data))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

const cps = "application/vnd.akamai.cps."

// Request returns the CSR of the enrollment's pending change; a change is begun by a renewal at Akamai, or by a person there.
// While Akamai still makes the key, the fault is Timeout: ask again later.
func (a *Akamai) Request(ctx context.Context, enrollment string) (Ref, []byte, error) {
	change, err := a.pending(ctx, enrollment)
	if err != nil {
		return Ref{}, nil, err
	}
	ref := Ref{Driver: "akamai", ID: enrollment, More: map[string]string{"change": change}}
	var got struct {
		CSRs []struct {
			CSR          string `json:"csr"`
			KeyAlgorithm string `json:"keyAlgorithm"`
		} `json:"csrs"`
	}
	_, err = a.api.do(ctx, call{method: http.MethodGet, path: change + "/input/info/third-party-csr", accept: cps + "csr.v2+json", answer: &got})
	if fault.Is(err, fault.NotFound) {
		return ref, nil, fault.New(fault.Timeout, "the CDN is still making the key for enrollment %s", enrollment)
	}
	if err != nil {
		return ref, nil, err
	}
	if len(got.CSRs) == 0 || got.CSRs[0].CSR == "" {
		return ref, nil, fault.New(fault.Timeout, "the CDN has no request for enrollment %s yet", enrollment)
	}
	ref.More["algorithm"] = got.CSRs[0].KeyAlgorithm
	return ref, []byte(got.CSRs[0].CSR), nil
}

// pending finds the change under way: the path of its resource.
func (a *Akamai) pending(ctx context.Context, enrollment string) (string, error) {
	var got struct {
		PendingChanges []struct {
			Location string `json:"location"`
		} `json:"pendingChanges"`
	}
	_, err := a.api.do(ctx, call{method: http.MethodGet, path: "/cps/v2/enrollments/" + url.PathEscape(enrollment), accept: cps + "enrollment.v11+json", answer: &got})
	if err != nil {
		return "", err
	}
	if len(got.PendingChanges) == 0 {
		return "", fault.New(fault.NotFound, "enrollment %s has no change under way", enrollment).Hinted("begin a renewal there: the key is made by the CDN")
	}
	location := got.PendingChanges[0].Location
	if !strings.HasPrefix(location, "/cps/v2/enrollments/") || strings.ContainsAny(location, "?#\\ ") || strings.Contains(location, "..") {
		return "", fault.New(fault.Corrupt, "the CDN names a change at %q", tame.Short(location, 500))
	}
	return location, nil
}

// Put hands in the chain: the leaf, and apart from it the rest.
func (a *Akamai) Put(ctx context.Context, change Ref, chain string) error {
	leaf, rest := splitChain(chain)
	if leaf == "" {
		return fault.New(fault.Usage, "the chain holds no certificate")
	}
	send := map[string]any{"certificatesAndTrustChains": []map[string]string{{"certificate": leaf, "trustChain": rest, "keyAlgorithm": change.More["algorithm"]}}}
	_, err := a.api.do(ctx, call{
		method: http.MethodPost, path: change.More["change"] + "/input/update/third-party-cert-and-trust-chain",
		kind: cps + "certificate-and-trust-chain.v2+json", accept: cps + "change-id.v1+json", send: send,
	})
	return err
}

func splitChain(chain string) (leaf, rest string) {
	const end = "-----END CERTIFICATE-----"
	i := strings.Index(chain, end)
	if i < 0 {
		return "", ""
	}
	i += len(end)
	return strings.TrimSpace(chain[:i]), strings.TrimSpace(chain[i:])
}

// Progress reads the change's status. A change-management acknowledgement is a decision to go to production and is left to a person;
// warnings about the certificate are, too, for they may be right.
func (a *Akamai) Progress(ctx context.Context, change Ref) (Progress, error) {
	var got struct {
		StatusInfo struct {
			State       string `json:"state"`
			Description string `json:"description"`
		} `json:"statusInfo"`
		AllowedInput []struct {
			Type string `json:"type"`
		} `json:"allowedInput"`
	}
	_, err := a.api.do(ctx, call{method: http.MethodGet, path: change.More["change"], accept: cps + "change.v2+json", answer: &got})
	if fault.Is(err, fault.NotFound) {
		return Progress{State: "gone", Done: true}, nil // a finished change is no longer pending
	}
	if err != nil {
		return Progress{}, err
	}
	p := Progress{State: tame.Short(got.StatusInfo.State, 500)}
	var waits []string
	for _, in := range got.AllowedInput {
		switch in.Type {
		case "post-verification-warnings-acknowledgement", "change-management-acknowledgement", "pre-verification-warnings-acknowledgement":
			waits = append(waits, "a person has to give the "+strings.ReplaceAll(in.Type, "-", " ")+" at the CDN")
		}
	}
	p.Waits = strings.Join(waits, "; ")
	return p, nil
}
