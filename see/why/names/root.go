package names

import "github.com/miekg/dns"

// RootServers are the addresses of the thirteen root servers (IANA's root hints file; they change about once a decade).
func RootServers() []string {
	return []string{
		"198.41.0.4", "170.247.170.2", "192.33.4.12", "199.7.91.13", "192.203.230.10", "192.5.5.241", "192.112.36.4",
		"198.97.190.53", "192.36.148.17", "192.58.128.30", "193.0.14.129", "199.7.83.42", "202.12.27.33",
	}
}

// RootAnchors are the DS records of the root's key-signing keys of 2017 and 2024 (IANA's root-anchors.xml).
func RootAnchors() []string {
	return []string{
		". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
		". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
	}
}

// anchorsIn reads DS records in presentation format.
func anchorsIn(texts []string) ([]*dns.DS, error) {
	var out []*dns.DS
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			return nil, err
		}
		if ds, ok := rr.(*dns.DS); ok {
			out = append(out, ds)
		}
	}
	return out, nil
}
