package story_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// visit begins to ask the shop behind the balancer for its page, again and again, each time on a new connection, as customers do.
// The function that it returns ends that, and tells how many requests there were and which of them failed.
func visit(balancer string) func() (served int, failed []string) {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	served, failed := 0, []string(nil)
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := page(client, "http://"+balancer+":8080/")
				mu.Lock()
				if served++; err != nil && len(failed) < 20 {
					failed = append(failed, time.Now().UTC().Format("15:04:05.000")+" "+err.Error())
				}
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(40 * time.Millisecond):
				}
			}
		})
	}
	return func() (int, []string) {
		cancel()
		wg.Wait()
		return served, failed
	}
}

func page(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "shop" {
		return fmt.Errorf("answered %d %q", answer.StatusCode, body)
	}
	return nil
}
