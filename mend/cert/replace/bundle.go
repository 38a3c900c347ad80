package replace

import (
	"slices"
	"strings"

	"staunch/reach/act"
)

// bundle makes the files of one host: the new content under the old paths, so that no configuration has to change. What staunch cannot
// write (keystores, DER) becomes a person's step, and the host counts as not done.
func (d *draft) bundle(s *swap, host string) (files []act.File, units []string, validator string, ok bool) {
	chain := act.Piece{SHA256: s.made.Payload()}
	key := act.Piece{Key: s.made.Name}
	for _, f := range s.old.Files {
		if f.Host != host {
			continue
		}
		if f.Format != "" && f.Format != "pem" || f.Holds == "keystore" {
			d.byHand(s, host, f.Path, f.Format)
			continue
		}
		var pieces []act.Piece
		switch f.Holds {
		case "private_key":
			pieces = []act.Piece{key}
		case "certificate":
			pieces = []act.Piece{chain}
		case "both":
			pieces = []act.Piece{chain, key}
		default:
			continue
		}
		if !slices.ContainsFunc(files, func(have act.File) bool { return have.Path == f.Path }) {
			files = append(files, act.File{Path: f.Path, Pieces: pieces})
		}
	}
	units, validator = d.readers(s, host)
	return files, units, validator, len(files) > 0
}

func (d *draft) byHand(s *swap, host, path, format string) {
	id := word("convert", s.made.Name, host, path)
	if d.Step(id) != nil {
		return
	}
	s.all = append(s.all, d.person(id, "bring the new key into "+path+" on "+host,
		"it is a "+format+" keystore, which staunch reads but does not write: make it anew from the key "+s.made.Name+" in the host's store and the chain (`staunch cert chain "+s.made.Name+"`), then restart what reads it", "", s.before))
}

// readers lists the units that use the key on a host, and the program that checks its configuration.
func (d *draft) readers(s *swap, host string) (units []string, validator string) {
	for _, r := range s.old.Readers {
		if r.Host != host {
			continue
		}
		if act.IsUnit(r.Unit) && strings.HasSuffix(r.Unit, ".service") && !slices.Contains(units, r.Unit) {
			units = append(units, r.Unit)
		}
		if v := d.validatorOf(r.Unit, r.Name); validator == "" {
			validator = v
		}
	}
	slices.Sort(units)
	return units, validator
}

func (d *draft) validatorOf(unit, process string) string {
	if hook := d.o.Hooks[unit]; hook != "" {
		return "hook:" + hook
	}
	for _, one := range []struct{ prefix, validator string }{
		{"nginx", "nginx"}, {"haproxy", "haproxy"}, {"apache2", "apache"}, {"httpd", "apache"}, {"master", "postfix"}, {"postfix", "postfix"}, {"dovecot", "dovecot"},
	} {
		if strings.HasPrefix(process, one.prefix) || strings.HasPrefix(unit, one.prefix) {
			return one.validator
		}
	}
	return ""
}
