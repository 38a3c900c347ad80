// Package news tells people how an incident stands: what happened, what it waits for, and what is due.
package news

import (
	"context"

	"staunch/hub"
	"staunch/notify"
)

// Desk is where people get their news from. The hub is not optional.
type Desk struct {
	Hub    *hub.Hub
	Notify func(ctx context.Context, m notify.Message) error // nil: nobody is told anything
}
