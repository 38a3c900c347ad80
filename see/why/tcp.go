package why

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"staunch/tame"
)

// AddressDetail lists the addresses by family.
type AddressDetail struct {
	IPv4 []string `json:"ipv4"`
	IPv6 []string `json:"ipv6"`
}

// Dial is how connecting to one address went.
type Dial struct {
	Address string  `json:"address"`
	Family  string  `json:"family"`
	State   string  `json:"state"` // connected, refused, filtered, unreachable, no_route_here, reset, error
	Says    string  `json:"says"`
	TookMS  float64 `json:"took_ms"`
	// Tries counts how often the request to connect was sent: more than one means a full accept queue or lost packets.
	Tries int `json:"tries,omitempty"`
	conn  net.Conn
}

// slowConnect is where a person begins to notice; a SYN is sent again after 1 s (RFC 6298 section 2.1).
const slowConnect = 900 * time.Millisecond

func addressLayer(_ context.Context, w *walk) Layer {
	detail := AddressDetail{IPv4: []string{}, IPv6: []string{}}
	var lines []Line
	for _, a := range w.addrs {
		if a.ip.Unmap().Is4() {
			detail.IPv4 = append(detail.IPv4, a.ip.Unmap().String())
		} else {
			detail.IPv6 = append(detail.IPv6, a.ip.String())
		}
		if what := special(a.ip); what != "" {
			lines = append(lines, Line{State: OK, Says: a.ip.String() + " is " + what})
		}
	}
	says := fmt.Sprintf("%s, %s", plural(len(detail.IPv4), "IPv4 address", "IPv4 addresses"), plural(len(detail.IPv6), "IPv6 address", "IPv6 addresses"))
	return Layer{State: OK, Says: says, Lines: lines, Check: "getent ahosts " + w.target.host, Detail: detail}
}

// special tells addresses that only work from some places.
func special(ip netip.Addr) string {
	ip = ip.Unmap()
	switch {
	case ip.IsLoopback():
		return "this machine itself: every machine means its own"
	case ip.IsPrivate():
		return "an internal address: it only works inside that network"
	case ip.IsLinkLocalUnicast():
		return "a link-local address: it only works on the same cable"
	case ip.IsUnspecified():
		return "no address at all"
	}
	return ""
}

// tcpLayer connects to every address, both families side by side, and keeps one connection to go on with.
func tcpLayer(ctx context.Context, w *walk) Layer {
	dials := make([]Dial, min(len(w.addrs), 16))
	done := make(chan int)
	for i := range dials {
		go func() {
			dials[i] = dial(ctx, w.addrs[i].ip, w.target.port, w.q.Timeout)
			done <- i
		}()
	}
	for range dials {
		<-done
	}
	layer := Layer{Detail: dials}
	if len(w.addrs) > len(dials) {
		layer.Lines = append(layer.Lines, Line{State: Slowly, Says: fmt.Sprintf("%d more addresses were not tried", len(w.addrs)-len(dials))})
	}
	good, best := 0, -1
	for i := range dials {
		state := Failed
		switch {
		case dials[i].State == "connected" && dials[i].Tries > 1:
			state, good = Slowly, good+1
		case dials[i].State == "connected":
			state, good = OK, good+1
		case dials[i].State == "no_route_here", w.addrs[i].ip.IsLoopback() && len(dials) > 1:
			state = NotReached // that localhost listens in one family only is no fault
		}
		if dials[i].conn != nil && (best < 0 || dials[i].TookMS < dials[best].TookMS) {
			best = i
		}
		layer.Lines = append(layer.Lines, Line{State: state, Says: dials[i].Address + ": " + dials[i].Says, Check: dialCheck(dials[i].Address, w.target.port)})
	}
	w.closeOthers(dials, best)
	return w.judgeDials(layer, dials, good)
}

func dialCheck(ip string, port int) string {
	return fmt.Sprintf("nc -vz -w 5 %s %d", ip, port)
}

func (w *walk) closeOthers(dials []Dial, best int) {
	for i := range dials {
		if dials[i].conn != nil && i != best {
			dials[i].conn.Close()
			dials[i].conn = nil
		}
	}
}

func (w *walk) judgeDials(layer Layer, dials []Dial, good int) Layer {
	tried := 0
	count := map[string]int{}
	for i, d := range dials {
		spare := good > 0 && d.State != "connected" && w.addrs[i].ip.IsLoopback()
		if d.State != "no_route_here" && !spare {
			tried++
		}
		count[d.State]++
	}
	layer.Check = dialCheck(dials[0].Address, w.target.port)
	if good > 0 {
		layer.State = OK
		layer.Says = fmt.Sprintf("connected to %d of %s", good, plural(len(dials), "address", "addresses"))
		for _, d := range dials {
			if d.State == "connected" && d.Tries > 1 {
				layer.State = Slowly
				layer.Says = "the server was slow to accept a connection (asked " + plural(d.Tries, "time", "times") + "): its accept queue is full, or packets get lost"
			}
		}
		if good < tried {
			layer.State = Slowly
			layer.Says += fmt.Sprintf("; %d of them cannot be reached: some visitors will meet those", tried-good)
			if family, why := familyDown(dials); family != "" {
				layer.Says = fmt.Sprintf("connected to %d of %s, but to none over %s (%s): visitors with %s wait, or fail", good, plural(len(dials), "address", "addresses"), family, why, family)
			}
		}
		return layer
	}
	layer.State = Failed
	w.blame(&layer, count, tried)
	return layer
}

// familyDown names the family of which no address could be reached while the other works, and what its addresses did.
func familyDown(dials []Dial) (family, why string) {
	up := map[string]bool{}
	for _, d := range dials {
		up[d.Family] = up[d.Family] || d.State == "connected"
	}
	for _, d := range dials {
		switch {
		case up[d.Family] || d.State == "no_route_here":
		case why == "":
			family, why = d.Family, d.State
		case why != d.State:
			why = "for different reasons"
		}
	}
	return family, why
}

// blame names what it usually means when no address answers.
func (w *walk) blame(layer *Layer, count map[string]int, tried int) {
	port := fmt.Sprintf("port %d", w.target.port)
	switch {
	case tried == 0:
		layer.Says = "this machine has no way to any of the addresses (no IPv6 or no network here)"
		w.fail(Unreachable, "This machine has no network that leads to the site.", "Check this machine's own connection first.")
	case count["refused"]+count["reset"] == tried:
		layer.Says = "the machine is there, but nothing listens on " + port
		w.fail(PortClosed, "The site's machine answers, but its web server is not running (nothing listens on "+port+").", "Its owner has to start the web server, or the link names the wrong port.")
	case count["unreachable"] == tried:
		layer.Says = "a router says that the host cannot be reached"
		w.fail(Unreachable, "The site's machine cannot be reached: it is off, or the network between is broken.", "If other sites work, only its owner or their provider can help.")
	case count["filtered"] == tried:
		layer.Says = "no answer at all: a firewall drops us, the machine is down, or it is too busy to accept anybody"
		w.fail(Filtered, "Nothing answers at the site's address: a firewall drops the request, the machine is off, or it is so overloaded that it accepts nobody.",
			"Try from another network: if it works there, a firewall keeps you out; if not, the machine is down or overloaded.")
	default:
		layer.Says = "no address could be reached, for different reasons"
		w.fail(Unreachable, "None of the site's addresses can be reached.", "See the lines of the connection step: each address has its own reason.")
	}
}

// dial connects to one address and says what came of it.
func dial(ctx context.Context, ip netip.Addr, port int, timeout time.Duration) Dial {
	ip = ip.Unmap()
	d := Dial{Address: ip.String(), Family: "IPv4"}
	if ip.Is6() {
		d.Family = "IPv6"
	}
	began := time.Now()
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(port)).String())
	took := time.Since(began)
	d.TookMS = ms(took)
	if err == nil {
		d.State, d.conn, d.Tries = "connected", conn, 1+retransmits(conn)
		if d.Tries == 1 && took > slowConnect && !ip.IsLoopback() {
			d.Says = fmt.Sprintf("connected, after %.0f ms", d.TookMS)
			return d
		}
		d.Says = "connected"
		if d.Tries > 1 {
			d.Says = fmt.Sprintf("connected at the %s try: the accept queue was full, or packets got lost", nth(d.Tries))
		}
		return d
	}
	d.State, d.Says = dialState(err, d.Family)
	return d
}

func nth(n int) string {
	switch n {
	case 2:
		return "second"
	case 3:
		return "third"
	}
	return fmt.Sprintf("%dth", n)
}

// dialState names a failed connect as people who run networks would.
func dialState(err error, family string) (state, says string) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused", "refused: the machine answers, but nothing listens on this port"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable", "host unreachable: a router, or this network, cannot find the machine"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return "no_route_here", "not tried: this machine has no " + family + " route"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset", "reset: something on the way or the machine cut the connection at once"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "filtered", "this machine's own firewall forbids it"
	case isTimeout(err):
		return "filtered", "no answer: filtered, down, or too busy to accept"
	}
	return "error", plainNet(err)
}

// retransmits reads how often the SYN was sent again (Linux tcp_info, tcpi_total_retrans right after connect).
func retransmits(conn net.Conn) int {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	if err := raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Total_retrans)
		}
	}); err != nil {
		return 0
	}
	return n
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || (errors.As(err, &t) && t.Timeout())
}

// plainNet is an error without Go's layers of addresses.
func plainNet(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	if isTimeout(err) {
		return "no answer in time"
	}
	return tame.Short(strings.TrimPrefix(err.Error(), "connect: "), 2048)
}
