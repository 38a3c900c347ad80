package replace

import (
	"fmt"
	"strings"

	"staunch/mend/cert"
)

// account has an ACME account's key changed that lay on an affected host: whoever read it can order certificates for our names, and revoke ours.
// It is a person's step: the key of another client's account never leaves that host, and one of ours is opened by its custodians only.
func (d *draft) account(k cert.Key) {
	d.Keys = append(d.Keys, d.keyOf(k))
	where := strings.Join(k.Holders(), ", ")
	d.person(word("account", k.SPKI[:12]), fmt.Sprintf("change the key of the ACME account of %s on %s", k.Account, where), rollover(k), "", nil)
}

// rollover says how each client does it (its own manual).
func rollover(k cert.Key) string {
	how := "make a new account there and deactivate the old one"
	switch k.Account {
	case "certbot":
		how = "certbot cannot change an account's key: `certbot unregister`, then `certbot register`, on each of those hosts"
	case "acme.sh":
		how = "`acme.sh --update-account --accountkeylength ec-256` does not change the key: `acme.sh --deactivate-account`, then `acme.sh --register-account`"
	case "caddy":
		how = "stop caddy, move its directory acme/ away, start it: it registers anew; then deactivate the old account"
	case "dehydrated":
		how = "`dehydrated --account-rollover` changes the key"
	}
	if ca, file, ours := strings.Cut(k.Account, "/"); ours {
		how = fmt.Sprintf("`staunch cert account %s %s --rollover` changes the key; if the CA cannot do that, it makes a new account necessary, and the old one is deactivated", ca, file)
	}
	return how + ". Look at the account's orders since it may have leaked, and at the transparency logs for certificates that you did not order (`staunch cert list --log`)"
}
