package fleet

import "staunch/pattern"

// shape is what a text must look like: for the reader, and as a pattern for the published schema.
type shape struct {
	pattern    *pattern.Pattern
	says, hint string
}

var (
	// reName starts with a letter or digit, so that no name can be taken for an option of another program.
	reName     = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)
	rePattern  = pattern.New(`^[A-Za-z0-9_\[][A-Za-z0-9_.,\[\]-]{0,299}$`)
	reWord     = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._/-]{0,99}$`)
	reVisible  = pattern.New(`^[^\x00-\x20\x7f]{1,253}$`)
	reUser     = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._@\\-]{0,63}$`)
	reHook     = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
	reUnit     = pattern.New(`^[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|target|timer|path|mount|slice|scope)$`)
	reHostPort = pattern.New(`^([A-Za-z0-9_][A-Za-z0-9._-]*|\{host\}|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})$`)
	reURL      = pattern.New(`^https?://[^\x00-\x20\x7f]+$`)
	reHex      = pattern.New(`^[0-9a-f]{64}$`)
	reWidth    = pattern.New(`^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)$`)
	reDuration = pattern.New(`^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+$`)
)

// shapes lists the rules that the tags of the form name. Their patterns are read alike by Go and by JSON schema.
func shapes() map[string]shape {
	return map[string]shape{
		"word":     {reWord, "is not a word", "letters, digits, dots, dashes and underscores"},
		"name":     {reName, "is not a host name", "letters, digits, dots, dashes and underscores"},
		"pattern":  {rePattern, "is neither a host name nor a pattern", "letters, digits, dots, dashes and underscores, as in web1, web[01-20] or db[a-c]"},
		"visible":  {reVisible, "is not a name", "a host name, or any word without spaces"},
		"user":     {reUser, "is not a user name", ""},
		"hook":     {reHook, "is not the name of a hook", "a plain file name in the host's /etc/staunch/hooks"},
		"unit":     {reUnit, "is not a full unit name", "name it with its suffix, as in nginx.service"},
		"hostport": {reHostPort, "is not host:port", "as in 192.0.2.1:443, [2001:db8::1]:443 or name.example:443"},
		"url":      {reURL, "is not an http or https URL", "as in http://{host}/health"},
		"sha256":   {reHex, "is not a SHA-256", "64 lower-case hex digits, as staunch probe prints spki_sha256"},
	}
}
