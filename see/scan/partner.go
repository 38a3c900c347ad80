package scan

import (
	"slices"

	"staunch/see/scan/elf"
)

// fillFromPartner gives libssl the version of the libcrypto that lies in the same processes: libssl itself holds none (facts: both are
// built from one source and check each other when they start). Where processes disagree it stays unknown.
func fillFromPartner(r *Report) {
	versions := map[string]string{} // libcrypto's object id to version
	wanting := map[string]*elf.Component{}
	for i := range r.Objects {
		for j := range r.Objects[i].Components {
			c := &r.Objects[i].Components[j]
			switch {
			case c.Name != "openssl" || c.Linkage != elf.Dynamic:
			case c.Version != "":
				versions[r.Objects[i].ID] = c.Version
			default:
				wanting[r.Objects[i].ID] = c
			}
		}
	}
	if len(wanting) == 0 {
		return
	}
	partners := map[string][]string{}
	for _, p := range r.Processes {
		have := versionsIn(p, versions)
		for _, m := range p.Objects {
			if wanting[m.ID] != nil {
				partners[m.ID] = append(partners[m.ID], have...)
			}
		}
	}
	for id, c := range wanting {
		slices.Sort(partners[id])
		if found := slices.Compact(partners[id]); len(found) == 1 {
			c.Version = found[0]
			c.Evidence = append(c.Evidence, elf.Evidence{
				Kind: "version", Says: "taken from the libcrypto that is mapped in the same processes", Detail: found[0],
			})
		}
	}
}

func versionsIn(p Process, versions map[string]string) []string {
	var out []string
	for _, m := range p.Objects {
		if v := versions[m.ID]; v != "" {
			out = append(out, v)
		}
	}
	return out
}
