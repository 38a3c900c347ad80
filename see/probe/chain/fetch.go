package chain

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"staunch/tame"
)

// Limits on what certificates make us fetch: their URLs come from strangers.
const (
	maxIssuer = 64 << 10
	maxOCSP   = 64 << 10
	maxCRL    = 32 << 20
	maxLists  = 256 // CRLs remembered in one run
	fetchTime = 10 * time.Second
)

// Fetcher gets CRLs, OCSP answers and missing issuers by plain HTTP, bounded, each CRL once.
type Fetcher struct {
	client *http.Client
	mu     sync.Mutex
	lists  map[string]*crlEntry
}

type crlEntry struct {
	once sync.Once
	list *x509.RevocationList
	err  error
}

// NewFetcher makes a Fetcher that remembers CRLs until it is dropped.
func NewFetcher() *Fetcher {
	return &Fetcher{
		lists: map[string]*crlEntry{},
		client: &http.Client{Timeout: fetchTime, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return fmt.Errorf("too many redirects")
			}
			return nil
		}},
	}
}

func (f *Fetcher) get(ctx context.Context, url string, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no address", tame.Short(url, maxText))
	}
	return f.do(request, limit)
}

func (f *Fetcher) post(ctx context.Context, url, kind string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s is no address", tame.Short(url, maxText))
	}
	request.Header.Set("Content-Type", kind)
	return f.do(request, maxOCSP)
}

func (f *Fetcher) do(request *http.Request, limit int64) ([]byte, error) {
	where := tame.Short(request.URL.String(), maxText)
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s did not answer", where)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", where, answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s broke off", where)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%s sends more than %d bytes", where, limit)
	}
	return body, nil
}

func (f *Fetcher) crl(ctx context.Context, url string) (*x509.RevocationList, error) {
	f.mu.Lock()
	e := f.lists[url]
	if e == nil {
		e = &crlEntry{}
		if len(f.lists) < maxLists {
			f.lists[url] = e
		}
	}
	f.mu.Unlock()
	e.once.Do(func() {
		body, err := f.get(ctx, url, maxCRL)
		if err != nil {
			e.err = err
			return
		}
		if e.list, err = x509.ParseRevocationList(body); err != nil {
			e.err = fmt.Errorf("%s is not a CRL", tame.Short(url, maxText))
		}
	})
	return e.list, e.err
}

// issuers follows the authority information of the topmost certificate, at most three steps.
func (f *Fetcher) issuers(ctx context.Context, leaf *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	top := leaf
	for _, o := range others {
		if bytes.Equal(top.RawIssuer, o.RawSubject) {
			top = o
		}
	}
	for range 3 {
		next := f.issuer(ctx, top)
		if next == nil || bytes.Equal(next.RawSubject, next.RawIssuer) {
			break
		}
		found = append(found, next)
		top = next
	}
	return found
}

func (f *Fetcher) issuer(ctx context.Context, of *x509.Certificate) *x509.Certificate {
	for _, url := range httpOnly(of.IssuingCertificateURL) {
		body, err := f.get(ctx, url, maxIssuer)
		if err != nil {
			continue
		}
		if c, err := x509.ParseCertificate(body); err == nil && of.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}
