package act

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/pattern"
)

// Params are the typed parameters of one kind of act. Each kind has exactly one struct (see empty).
type Params interface {
	// Validate says what is wrong with the parameters on their face, before any machine is looked at.
	Validate() error
}

// New makes an act. The result has the one spelling that plans sign.
func New(kind Kind, with Params) (Act, error) {
	b, err := json.Marshal(with)
	if err != nil {
		return Act{}, fault.New(fault.Usage, "parameters of %s: %v", kind, err)
	}
	a := Act{Kind: kind, With: b}
	_, err = a.Params()
	return a, err
}

// HookName is the hook that an act runs by its name, "" for acts of other kinds.
func (a Act) HookName() string {
	params, err := a.Params()
	if with, is := params.(*HookWith); err == nil && is {
		return with.Name
	}
	return ""
}

// Kinds lists the closed list in the order of its documentation.
func Kinds() []Kind {
	return []Kind{Upgrade, Restart, Reload, Stop, Start, Mask, Unmask, Hook, Place, Drain, Undrain, Reboot, Signal, InstallLib, MakeKey, Unseal, RevokeOwn, BarKey}
}

// empty returns a pointer to the zero parameters of a kind, nil for a kind that is not on the list.
func empty(kind Kind) Params {
	switch kind {
	case Upgrade:
		return new(UpgradeWith)
	case Restart, Reload, Stop, Start, Mask, Unmask:
		return new(UnitsWith)
	case Hook:
		return new(HookWith)
	case Place:
		return new(PlaceWith)
	case Drain, Undrain:
		return new(DrainWith)
	case Reboot:
		return new(RebootWith)
	case Signal:
		return new(SignalWith)
	case InstallLib:
		return new(InstallLibWith)
	case MakeKey:
		return new(MakeKeyWith)
	case Unseal:
		return new(UnsealWith)
	case RevokeOwn:
		return new(RevokeOwnWith)
	case BarKey:
		return new(BarKeyWith)
	}
	return nil
}

// Params decodes the act's parameters, strictly: unknown keys, other spellings of a key, values of the wrong type, and defaults
// that are written out are refused, so that an act has exactly one spelling and what a person reads is what a host does.
func (a Act) Params() (Params, error) {
	p := empty(a.Kind)
	if p == nil {
		return nil, fault.New(fault.Unsupported, "act %.40q is not on the closed list", a.Kind)
	}
	dec := json.NewDecoder(bytes.NewReader(a.With))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return nil, fault.New(fault.Usage, "parameters of %s: %v", a.Kind, err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	given, err := mandate.Canonical(a.With)
	if err != nil {
		return nil, err
	}
	again, err := mandate.Canonical(p)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(given, again) {
		return nil, fault.New(fault.Usage, "parameters of %s are not in their one spelling", a.Kind).Hinted("expected %s", again)
	}
	return p, nil
}

// Package is one package in an exact version.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`        // as the package manager spells it, with epoch and release
	Arch    string `json:"arch,omitempty"` // "" the machine's own
}

// UpgradeWith asks for packages in exact versions. A version that is older than the installed one is a downgrade and must be said.
type UpgradeWith struct {
	Manager   string    `json:"manager,omitempty"` // apt, dnf, zypper, apk; "" the machine's own
	Packages  []Package `json:"packages"`
	Also      []Package `json:"also,omitempty"`        // what may come along because the others need it, in exact versions
	Downgrade bool      `json:"downgrade,omitempty"`   // older versions are meant
	Refresh   bool      `json:"refresh,omitempty"`     // read the package sources again before the change
	LockForMS int64     `json:"lock_for_ms,omitempty"` // how long to wait for a lock that another holds; 0: 60,000
}

// UnitsWith names systemd units; the act is done to each in this order.
type UnitsWith struct {
	Units []string `json:"units"`
	// Gone are object ids that no process of the units may map afterwards (restart, reload, start).
	Gone []string `json:"gone,omitempty"`
	// SettleMS is how long a started unit must stay up before it counts; 0: 1,000.
	SettleMS int64 `json:"settle_ms,omitempty"`
	// ConfirmMS makes the act undo itself unless it is confirmed within so many milliseconds. Acts that can cut our access need it.
	ConfirmMS int64 `json:"confirm_ms,omitempty"`
}

// HookWith runs one executable of /etc/staunch/hooks by name. Parameters reach it as environment variables STAUNCH_NAME=value, in no shell.
type HookWith struct {
	Name   string            `json:"name"`
	Params map[string]string `json:"params,omitempty"` // only such as the hook's own declaration lists
}

// Piece is one part of a file's content: exactly one field is set.
type Piece struct {
	Text   string `json:"text,omitempty"`   // short content in plain sight, not for secrets
	SHA256 string `json:"sha256,omitempty"` // a payload put before
	Key    string `json:"key,omitempty"`    // a private key made or unsealed on this host, by name
}

// File is one file of a bundle: its pieces one after the other.
type File struct {
	Path   string  `json:"path"` // absolute, clean
	Pieces []Piece `json:"pieces,omitempty"`
	Owner  string  `json:"owner,omitempty"` // user name; "" keeps the present one, else root
	Group  string  `json:"group,omitempty"`
	Mode   string  `json:"mode,omitempty"`   // octal, four digits; "" keeps the present one, else 0644, and 0600 with a key in it
	Remove bool    `json:"remove,omitempty"` // take the file away instead
}

// PlaceWith places a bundle: all files or none.
type PlaceWith struct {
	Files     []File   `json:"files"`
	Validator string   `json:"validator,omitempty"` // nginx, haproxy, apache, postfix, dovecot, or "hook:NAME"; a refusal puts everything back
	Reload    []string `json:"reload,omitempty"`    // units to reload then; one that fails puts everything back and is reloaded again
	ConfirmMS int64    `json:"confirm_ms,omitempty"`
}

// DrainWith takes a service out of (or back into) traffic by the hook that the inventory names for it.
type DrainWith struct {
	Service string            `json:"service"`
	Hook    string            `json:"hook"`
	Params  map[string]string `json:"params,omitempty"`
}

// RebootWith ends one boot: a machine that already booted again is not rebooted twice.
type RebootWith struct {
	BootID string `json:"boot_id"` // /proc/sys/kernel/random/boot_id of the boot that shall end
}

// SignalWith signals exactly the process that was seen, by pid and start time; never a later owner of the pid.
type SignalWith struct {
	PID    int       `json:"pid"`
	Start  time.Time `json:"start"`          // as see/scan tells it; compared to the second
	Signal string    `json:"signal"`         // TERM, KILL, HUP, INT, QUIT, USR1, USR2, STOP, CONT
	Gone   bool      `json:"gone,omitempty"` // the process must be gone afterwards
}

// InstallLibWith puts a library that was built elsewhere beside the system's.
type InstallLibWith struct {
	SHA256   string   `json:"sha256"`          // of the payload
	Path     string   `json:"path"`            // absolute; the real file
	Links    []string `json:"links,omitempty"` // names in the same directory that point to it
	Ldconfig bool     `json:"ldconfig,omitempty"`
}

// MakeKeyWith makes a private key on the host and answers with its CSR. The key stays in the host's own store under Name.
type MakeKeyWith struct {
	Name       string   `json:"name"` // in the host's key store
	Type       string   `json:"type"` // ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096, ed25519
	CommonName string   `json:"common_name,omitempty"`
	Names      []string `json:"names"` // DNS names and addresses
	// Recipients are age recipients of the other hosts that serve the same names: the key leaves only encrypted to them.
	Recipients []string `json:"recipients,omitempty"`
	MustStaple bool     `json:"must_staple,omitempty"`
}

// UnsealWith decrypts a key that another host sealed for this one, into the host's own key store.
type UnsealWith struct {
	Name   string `json:"name"`
	Sealed string `json:"sealed"`      // the armoured age file that MakeKey answered
	SPKI   string `json:"spki_sha256"` // what must come out, lower-case hex
}

// IsUnit tells whether a name is a full unit name.
func IsUnit(name string) bool { return reUnit.MatchString(name) }

var (
	reHex     = pattern.New(`^[0-9a-f]{64}$`)
	reUnit    = pattern.New(`^[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|target|timer|path|mount|slice|scope|automount|swap|device)$`)
	rePackage = pattern.New(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,199}$`)
	reVersion = pattern.New(`^[A-Za-z0-9][A-Za-z0-9+.:~_^-]{0,199}$`)
	reName    = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	reParam   = pattern.New(`^[A-Z][A-Z0-9_]{0,49}$`)
	reMode    = pattern.New(`^0[0-7]{3}$`)
	reUser    = pattern.New(`^[a-z_][a-z0-9_-]{0,31}\$?$`)
	reSoname  = pattern.New(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,254}$`)
)

func usage(format string, args ...any) error { return fault.New(fault.Usage, format, args...) }

// Validate refuses empty lists and names that a package manager could take for options or patterns.
func (w *UpgradeWith) Validate() error {
	if len(w.Packages) == 0 || len(w.Packages)+len(w.Also) > 500 {
		return usage("upgrade names between 1 and 500 packages")
	}
	switch w.Manager {
	case "", "apt", "dnf", "zypper", "apk":
	default:
		return usage("package manager %.40q: apt, dnf, zypper or apk", w.Manager)
	}
	seen := map[string]bool{}
	for _, p := range append(append([]Package{}, w.Packages...), w.Also...) {
		if !rePackage.MatchString(p.Name) || !reVersion.MatchString(p.Version) || (p.Arch != "" && !rePackage.MatchString(p.Arch)) {
			return usage("package %.80q in version %.80q: an exact name and version is needed", p.Name, p.Version)
		}
		if seen[p.Name+":"+p.Arch] {
			return usage("package %s stands twice", p.Name)
		}
		seen[p.Name+":"+p.Arch] = true
	}
	return millis("lock_for_ms", w.LockForMS, time.Hour)
}

// Validate refuses patterns: a unit is named in full, with its suffix.
func (w *UnitsWith) Validate() error {
	if len(w.Units) == 0 || len(w.Units) > 200 {
		return usage("between 1 and 200 units are named")
	}
	for _, u := range w.Units {
		if !reUnit.MatchString(u) {
			return fault.New(fault.Usage, "unit %.80q is not a full unit name", u).Hinted("name it with its suffix, as in nginx.service")
		}
	}
	for _, id := range w.Gone {
		if !reHex.MatchString(id) {
			return usage("gone: %.80q is not an object id", id)
		}
	}
	if err := millis("settle_ms", w.SettleMS, 10*time.Minute); err != nil {
		return err
	}
	return confirmTime(w.ConfirmMS)
}

func millis(what string, ms int64, most time.Duration) error {
	if ms < 0 || ms > most.Milliseconds() {
		return usage("%s: between 0 and %d", what, most.Milliseconds())
	}
	return nil
}

func confirmTime(ms int64) error {
	if ms != 0 && (ms < 5_000 || ms > time.Hour.Milliseconds()) {
		return usage("confirm_ms: between 5,000 and 3,600,000, or 0")
	}
	return nil
}

// Validate refuses names that are more than a name.
func (w *HookWith) Validate() error { return hookParams(w.Name, w.Params) }

func hookParams(name string, params map[string]string) error {
	if !reName.MatchString(name) {
		return usage("hook %.80q: a plain file name in /etc/staunch/hooks", name)
	}
	if len(params) > 50 {
		return usage("hook %s: %d parameters, at most 50", name, len(params))
	}
	for k, v := range params {
		if !reParam.MatchString(k) || len(v) > 4096 || strings.ContainsRune(v, 0) {
			return usage("hook %s: parameter %.60q (names are capitals, values at most 4 KB without NUL)", name, k)
		}
	}
	return nil
}

// Validate checks paths, modes and owners of each file; what the paths may be is the policy's to say.
func (w *PlaceWith) Validate() error {
	if len(w.Files) == 0 || len(w.Files) > 200 {
		return usage("a bundle has between 1 and 200 files")
	}
	if hook, isHook := strings.CutPrefix(w.Validator, "hook:"); w.Validator != "" && !knownValidator(w.Validator) && (!isHook || !reName.MatchString(hook)) {
		return usage("validator %.60q: nginx, haproxy, apache, postfix, dovecot or hook:NAME", w.Validator)
	}
	for _, u := range w.Reload {
		if !reUnit.MatchString(u) {
			return usage("reload: %.80q is not a full unit name", u)
		}
	}
	seen := map[string]bool{}
	for _, f := range w.Files {
		if err := f.validate(); err != nil {
			return err
		}
		if seen[f.Path] {
			return usage("file %s stands twice", f.Path)
		}
		seen[f.Path] = true
	}
	return confirmTime(w.ConfirmMS)
}

func (f File) validate() error {
	if err := absolute(f.Path); err != nil {
		return err
	}
	if f.Remove != (len(f.Pieces) == 0) {
		return usage("file %s: either pieces or remove", f.Path)
	}
	if (f.Mode != "" && !reMode.MatchString(f.Mode)) || (f.Owner != "" && !reUser.MatchString(f.Owner)) || (f.Group != "" && !reUser.MatchString(f.Group)) {
		return usage("file %s: owner and group are names, the mode four octal digits without setuid bits", f.Path)
	}
	for _, p := range f.Pieces {
		if err := p.validate(); err != nil {
			return usage("file %s: %v", f.Path, err)
		}
	}
	return nil
}

func (p Piece) validate() error {
	set := 0
	for _, s := range []string{p.Text, p.SHA256, p.Key} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return usage("a piece is exactly one of text, sha256, key")
	case p.SHA256 != "" && !reHex.MatchString(p.SHA256):
		return usage("sha256 is not 64 lower-case hex digits")
	case p.Key != "" && !reName.MatchString(p.Key):
		return usage("key %.60q is not a plain name", p.Key)
	}
	return nil
}

func absolute(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || len(p) > 1024 || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return usage("path %.80q: absolute and clean, no control characters", p)
	}
	return nil
}

// Validate checks the service's name and its hook.
func (w *DrainWith) Validate() error {
	if !reName.MatchString(w.Service) {
		return usage("service %.60q is not a plain name", w.Service)
	}
	return hookParams(w.Hook, w.Params)
}

var reBoot = pattern.New(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Validate wants a boot id.
func (w *RebootWith) Validate() error {
	if !reBoot.MatchString(w.BootID) {
		return fault.New(fault.Usage, "boot_id %.60q is not a boot id", w.BootID).Hinted("it stands in every scan's machine.boot_id and in /proc/sys/kernel/random/boot_id")
	}
	return nil
}

// Validate refuses process 1, groups, and signals that are not on the list.
func (w *SignalWith) Validate() error {
	if w.PID <= 1 || w.Start.IsZero() {
		return usage("a process is named by a pid above 1 and its start time")
	}
	if _, known := Signals()[w.Signal]; !known {
		return usage("signal %.20q: TERM, KILL, HUP, INT, QUIT, USR1, USR2, STOP or CONT", w.Signal)
	}
	return nil
}

// Validate wants an absolute path and links that are plain names beside it.
func (w *InstallLibWith) Validate() error {
	if err := absolute(w.Path); err != nil {
		return err
	}
	if !reHex.MatchString(w.SHA256) {
		return usage("sha256 is not 64 lower-case hex digits")
	}
	for _, l := range append([]string{path.Base(w.Path)}, w.Links...) {
		if !reSoname.MatchString(l) || !strings.Contains(l, ".so") {
			return usage("%.80q does not look like a library's name", l)
		}
	}
	for i, l := range w.Links {
		if l == path.Base(w.Path) || slices.Contains(w.Links[:i], l) {
			return usage("link %s stands twice", l)
		}
	}
	return nil
}

// Validate checks the name, the type and the names of the certificate.
func (w *MakeKeyWith) Validate() error {
	if !reName.MatchString(w.Name) {
		return usage("key %.60q is not a plain name", w.Name)
	}
	if !knownKeyType(w.Type) {
		return usage("key type %.40q: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519", w.Type)
	}
	if len(w.Names) == 0 || len(w.Names) > 10_000 || len(w.Recipients) > 1_000 {
		return usage("between 1 and 10,000 names and at most 1,000 recipients")
	}
	for _, n := range w.Names {
		if n == "" || !certName(n) {
			return usage("name %.80q: ASCII (xn-- for international names), at most 253 characters", n)
		}
	}
	if !certName(w.CommonName) {
		return usage("common_name %.80q: ASCII, at most 253 characters", w.CommonName)
	}
	return nil
}

func certName(s string) bool {
	return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Validate checks the name and the fingerprint.
func (w *UnsealWith) Validate() error {
	if !reName.MatchString(w.Name) {
		return usage("key %.60q is not a plain name", w.Name)
	}
	if !reHex.MatchString(w.SPKI) || w.Sealed == "" || len(w.Sealed) > 256<<10 {
		return usage("unseal needs the sealed key (at most 256 KB) and the spki_sha256 that must come out")
	}
	return nil
}
