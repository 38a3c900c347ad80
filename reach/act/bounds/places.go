package bounds

// Places says where a host keeps what acts depend on.
type Places struct {
	Root     string // directories above it are not judged; "/" on a real host
	Policy   string
	Signers  string
	Hooks    string
	State    string
	Payloads string // files named by their SHA-256, put there by host.Store
	Owner    uint32 // who must own policy, signers and hooks: 0 on a real host
}

// Standard is where they lie on a real host.
func Standard() Places {
	return Places{
		Root: "/", Policy: "/etc/staunch/policy.json", Signers: "/etc/staunch/allowed_signers", Hooks: "/etc/staunch/hooks",
		State: "/var/lib/staunch-host", Payloads: "/var/lib/staunch-host/payloads",
	}
}
