package feed

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"staunch/fault"
)

// maxDownload bounds one source's download, in bytes.
const maxDownload = 4 << 30

// stall is how long a server may stay silent in the middle of a download.
const stall = 60 * time.Second

// fetched is a download on disk.
type fetched struct {
	path      string
	size      int64
	etag      string
	date      time.Time
	sha256    string
	unchanged bool
}

// fetch downloads to a scratch file in dir. A download that is shorter than announced, or whose checksum differs, is an error.
func (u *update) fetch(ctx context.Context, where, etag string, p func(done, total int64)) (*fetched, error) {
	if path, ok := strings.CutPrefix(where, "file://"); ok {
		return u.copyFile(path, etag, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, fault.New(fault.Usage, "%s is no address to fetch from: %v", where, err)
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	req.Header.Set("User-Agent", "staunch")
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, unreachable(where, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		return &fetched{unchanged: true}, nil
	case http.StatusOK:
	default:
		return nil, fault.New(fault.Unreachable, "%s answered %s", where, resp.Status)
	}
	watch := time.AfterFunc(stall, cancel)
	defer watch.Stop()
	body := &watched{resp.Body, func(int) { watch.Reset(stall) }}
	got, err := u.store(body, resp.ContentLength, resp.Header.Values("X-Goog-Hash"), p)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", where, err)
	}
	got.etag = resp.Header.Get("ETag")
	if got.date, err = http.ParseTime(resp.Header.Get("Last-Modified")); err != nil {
		got.date = u.now()
	}
	if err := u.sidecar(ctx, where, got); err != nil {
		os.Remove(got.path)
		return nil, err
	}
	return got, nil
}

func unreachable(where string, err error) error {
	var inner *url.Error // its text repeats the address
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fault.New(fault.Unreachable, "%s: %v", where, err).
		Hinted("without a network: staunch advisories update --mirror with the address (or file://) of a copy")
}

func (u *update) copyFile(path, etag string, p func(done, total int64)) (*fetched, error) {
	path, err := url.PathUnescape(path)
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%v", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fault.New(fault.Usage, "%s is not a file", path)
	}
	tag := fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
	if tag == etag {
		return &fetched{unchanged: true}, nil
	}
	got, err := u.store(f, info.Size(), nil, p)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", path, err)
	}
	got.etag, got.date = tag, info.ModTime().UTC()
	want, err := os.ReadFile(path + ".sha256")
	if err == nil {
		err = compareSum(path, string(want), got)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		os.Remove(got.path)
		return nil, err
	}
	return got, nil
}

// store writes a body to a scratch file while it hashes it.
func (u *update) store(body io.Reader, announced int64, sums []string, p func(done, total int64)) (*fetched, error) {
	f, err := os.CreateTemp(u.dir, ".download-*")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sha, sum := sha256.New(), md5.New()
	counted := &watched{body, nil}
	var done int64
	counted.each = func(n int) { done += int64(n); p(done, announced) }
	n, err := io.Copy(io.MultiWriter(f, sha, sum), io.LimitReader(counted, maxDownload+1))
	switch {
	case err != nil:
		err = fmt.Errorf("the download broke off after %d bytes: %v", n, err)
	case n > maxDownload:
		err = fmt.Errorf("more than %d GB", int64(maxDownload)>>30)
	case announced >= 0 && n != announced:
		err = fmt.Errorf("the download is %d bytes, %d were announced", n, announced)
	default:
		err = compareGoog(sums, sum)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	return &fetched{path: f.Name(), size: n, sha256: hex.EncodeToString(sha.Sum(nil))}, nil
}

// compareGoog checks the checksum that Google's storage sends along ("md5=BASE64").
func compareGoog(sums []string, sum hash.Hash) error {
	for _, line := range sums {
		for _, one := range strings.Split(line, ",") {
			want, is := strings.CutPrefix(strings.TrimSpace(one), "md5=")
			if is && want != base64.StdEncoding.EncodeToString(sum.Sum(nil)) {
				return fmt.Errorf("the checksum differs from the one that its server sent")
			}
		}
	}
	return nil
}

// sidecar checks a mirror's NAME.sha256, where there is one.
func (u *update) sidecar(ctx context.Context, where string, got *fetched) error {
	if u.mirror == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where+".sha256", nil)
	if err != nil {
		return err
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return unreachable(where+".sha256", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return unreachable(where+".sha256", err)
	}
	return compareSum(where, string(b), got)
}

func compareSum(where, line string, got *fetched) error {
	want, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	if !strings.EqualFold(want, got.sha256) {
		return fault.New(fault.Corrupt, "%s: the checksum differs from the one in %s.sha256", where, where)
	}
	return nil
}

// watched reports every read.
type watched struct {
	r    io.Reader
	each func(int)
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.each(n)
	return n, err
}
