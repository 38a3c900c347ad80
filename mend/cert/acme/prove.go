package acme

import (
	"context"
	"fmt"
	"strings"

	"staunch/fault"
	"staunch/tame"

	acmez "github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// prove answers one challenge for every name that the CA does not yet believe us to control.
func (c *Client) prove(ctx context.Context, o Order) (Order, error) {
	at, held := c.hand.take(o.URL)
	if !held {
		var err error
		if at, err = c.raw.GetOrder(ctx, c.account(), acme.Order{Location: o.URL}); err != nil {
			return c.lost(o, err)
		}
		at.Location = o.URL
	}
	switch at.Status {
	case "ready":
		c.hand.put(at)
		o.Stage = Proven
		return o, nil
	case "processing", "valid":
		o.Stage = Sent
		return o, nil
	case "invalid":
		return c.reopen(o, at), nil
	}
	for _, url := range at.Authorizations {
		authz, err := c.raw.GetAuthorization(ctx, c.account(), url)
		if err != nil {
			return o, c.failed("asking what to prove", err)
		}
		authz.Location = url
		if authz.Status == "valid" {
			continue
		}
		if err := c.answer(ctx, authz); err != nil {
			return o, err
		}
	}
	at.Status = "ready" // every name is proven; if the CA thinks otherwise, it says so when it gets the request
	c.hand.put(at)
	o.Stage = Proven
	return o, nil
}

// lost drops an order that the CA no longer knows; the CSR was never handed in for it.
func (c *Client) lost(o Order, err error) (Order, error) {
	if problemStatus(err) == 404 {
		o.Stage, o.URL, o.Says = Wanted, "", "the CA forgot the order; it is made anew, the request was never handed in"
		return o, nil
	}
	return o, c.failed("looking at the order", err)
}

// reopen starts over after a failed proof: the CSR was not handed in, so the key is not spent.
func (c *Client) reopen(o Order, at acme.Order) Order {
	o.Stage, o.URL, o.Says = Wanted, "", "a name could not be proven; the order starts over"
	if at.Error != nil {
		o.Says += ": " + says(*at.Error)
	}
	return o
}

// answer solves the first challenge that we have a solver for; a wildcard can be proven by DNS only.
func (c *Client) answer(ctx context.Context, authz acme.Authorization) (err error) {
	challenge, solver, err := c.choose(authz)
	if err != nil {
		return err
	}
	defer func() {
		// The proof is taken away again whatever came of it, also when ctx ended.
		if clean := solver.CleanUp(context.WithoutCancel(ctx), challenge); clean != nil && err == nil {
			err = fault.New(fault.Unsure, "the proof for %s could not be taken away: %v", authz.Identifier.Value, clean)
		}
	}()
	if err := solver.Present(ctx, challenge); err != nil {
		return fault.New(fault.Denied, "the proof for %s could not be shown: %v", tame.Short(authz.Identifier.Value, 2000), err)
	}
	if waiter, ok := solver.(acmez.Waiter); ok {
		if err := waiter.Wait(ctx, challenge); err != nil {
			return fault.New(fault.Timeout, "the proof for %s did not become visible: %v", tame.Short(authz.Identifier.Value, 2000), err)
		}
	}
	if _, err := c.raw.InitiateChallenge(ctx, c.account(), challenge); err != nil {
		return c.failed("asking for validation of "+tame.Short(authz.Identifier.Value, 2000), err)
	}
	authz.Status = ""
	if _, err := c.raw.PollAuthorization(ctx, c.account(), authz); err != nil {
		return c.failed("validation of "+tame.Short(authz.Identifier.Value, 2000), err)
	}
	return nil
}

func (c *Client) choose(authz acme.Authorization) (acme.Challenge, Solver, error) {
	var offered []string
	for _, kind := range []string{"http-01", "tls-alpn-01", "dns-01"} {
		for _, challenge := range authz.Challenges {
			if challenge.Type != kind {
				continue
			}
			offered = append(offered, kind)
			if solver := c.Solvers[kind]; solver != nil {
				challenge.Identifier = authz.Identifier
				return challenge, solver, nil
			}
		}
	}
	what := tame.Short(authz.Identifier.Value, 2000)
	if authz.Wildcard {
		what = "*." + what
	}
	return acme.Challenge{}, nil, fault.New(fault.Unsupported, "%s can be proven by %s, none of which is set up", what, strings.Join(offered, ", ")).
		Hinted("%s", fmt.Sprintf("set up one of them for the CA %s; a wildcard needs dns-01", c.CA.Name))
}
