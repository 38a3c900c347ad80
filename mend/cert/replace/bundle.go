package replace

import (
	"fmt"
	"slices"
	"strings"

	"staunch/mend/cert"
	"staunch/reach/act"
)

// bundle makes the files of one host: the new content under the old paths, so that no configuration has to change. What staunch cannot
// write (keystores, DER) becomes a person's step, and the host counts as not done.
func (d *draft) bundle(s *swap, host string) (files []act.File, byHand []cert.FileAt) {
	chain := act.Piece{SHA256: s.made.Payload()}
	key := act.Piece{Key: s.made.Name}
	for _, f := range s.old.Files {
		if f.Host != host {
			continue
		}
		if f.Format != "" && f.Format != "pem" || f.Holds == "keystore" {
			byHand = append(byHand, f)
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
	return files, byHand
}

// byHand is a person's step for a file that staunch does not write: the passwords of keystores are nobody's business but their owners'.
func (d *draft) byHand(s *swap, f cert.FileAt, after []string) {
	id := word("convert", s.made.Name, f.Host, f.Path)
	if d.Step(id) != nil {
		return
	}
	s.all = append(s.all, d.person(id, "bring the new key into "+f.Path+" on "+f.Host,
		fmt.Sprintf("staunch does not write %s. As root on %s, with the chain of `staunch cert chain %s` in chain.pem:\n%s\nThen restart what reads it. The proof is from outside: nothing is revoked before every endpoint was seen without the old key; `staunch cert watch --hosts` tells where the old key still lies",
			kindOf(f), f.Host, s.made.Name, Conversion(f.Format, s.made.Name, f.Path)), "", after))
}

func kindOf(f cert.FileAt) string {
	if f.Holds == "keystore" {
		return "keystores (" + f.Format + ")"
	}
	return "files in " + f.Format
}

// Conversion is how a person brings a key of a host's store, and its chain, into a file of another form: commands for a shell. Passwords are
// asked for by the programs themselves. The other entries of a keystore stay; ALIAS is the old key's.
func Conversion(format, key, path string) string {
	from := "/var/lib/staunch-host/keys/" + key + ".pem"
	to := quoted(path)
	switch format {
	case "jks", "pkcs12":
		kind := map[string]string{"jks": "JKS", "pkcs12": "PKCS12"}[format]
		return strings.Join([]string{
			"umask 077; cp -a " + to + " " + quoted(path+".old"),
			"keytool -list -keystore " + to,
			"openssl pkcs12 -export -inkey " + from + " -in chain.pem -name ALIAS -out new.p12",
			"cp -a " + to + " " + quoted(path+".new") + "; keytool -delete -alias ALIAS -keystore " + quoted(path+".new"),
			"keytool -importkeystore -srckeystore new.p12 -srcstoretype PKCS12 -srcalias ALIAS -destkeystore " + quoted(path+".new") + " -deststoretype " + kind,
			"mv " + quoted(path+".new") + " " + to + "; rm new.p12",
		}, "\n")
	case "der":
		return "openssl pkcs8 -topk8 -nocrypt -in " + from + " -outform DER -out " + to + " (for a certificate: openssl x509 -in chain.pem -outform DER -out " + to + ")"
	}
	return "the key is " + from
}

// quoted makes one word of a path for a shell.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// readers lists the units that use the key on a host, and the program that checks its configuration.
func (d *draft) readers(s *swap, host string) (units []string, validator string) {
	var loose []string
	for _, r := range s.old.Readers {
		if r.Host != host {
			continue
		}
		switch {
		case !act.IsUnit(r.Unit) || !strings.HasSuffix(r.Unit, ".service"):
			if !slices.Contains(loose, r.Name) {
				loose = append(loose, r.Name)
			}
		case !slices.Contains(units, r.Unit):
			units = append(units, r.Unit)
		}
		if v := d.validatorOf(r.Unit, r.Name); validator == "" {
			validator = v
		}
	}
	if len(loose) > 0 {
		d.unseen(host, "%s there uses key %s and runs in no unit that could be reloaded: somebody has to let it read the new one, and nothing is revoked before", strings.Join(loose, ", "), short(s.old.SPKI))
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
