package story_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// customers ask the shop for its page, again and again, each time on a new connection with a new handshake.
type customers struct {
	mu     sync.Mutex
	served int
	failed []string        // the first twenty that failed
	ran    map[string]bool // versions of the library that answered, front and back
	stop   func()
}

// visit begins it.
func visit(address, name string, trusted *x509.CertPool) *customers {
	ctx, cancel := context.WithCancel(context.Background())
	c := &customers{ran: map[string]bool{}}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: name},
	}}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				ran, err := page(client, "https://"+address+"/")
				c.note(ran, err)
				select {
				case <-ctx.Done():
				case <-time.After(40 * time.Millisecond):
				}
			}
		})
	}
	c.stop = func() {
		cancel()
		wg.Wait()
	}
	return c
}

func (c *customers) note(ran string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served++
	if err != nil {
		if len(c.failed) < 20 {
			c.failed = append(c.failed, time.Now().UTC().Format("15:04:05.000")+" "+err.Error())
		}
		return
	}
	c.ran[ran] = true
}

// ended stops the customers, and tells how many requests there were and which of them failed.
func (c *customers) ended() (served int, failed []string) {
	c.stop()
	return c.served, c.failed
}

// page asks once, and returns which versions of the library answered: the balancer's and the web server's.
func page(client *http.Client, url string) (ran string, err error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "shop" {
		return "", fmt.Errorf("answered %d %q", answer.StatusCode, body)
	}
	return "front " + answer.Header.Get("X-Tally-Front") + ", web " + answer.Header.Get("X-Tally"), nil
}
