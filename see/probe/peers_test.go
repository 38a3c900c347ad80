package probe_test

import (
	"encoding/xml"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"staunch/testbed/real"
)

// nmapTable is the part of nmap's XML that lists suites.
type nmapTable struct {
	Key    string      `xml:"key,attr"`
	Tables []nmapTable `xml:"table"`
	Elems  []struct {
		Key  string `xml:"key,attr"`
		Text string `xml:",chardata"`
	} `xml:"elem"`
}

// nmapSuites asks nmap's ssl-enum-ciphers; the result maps versions, named as we name them, to sorted suites.
func nmapSuites(t *testing.T, target string) (suites map[string][]string, preference map[string]string) {
	t.Helper()
	_, port, err := net.SplitHostPort(target)
	must(t, err)
	out, err := exec.Command(real.Program(t, "nmap"), "-Pn", "-n", "-p", port, "--script", "ssl-enum-ciphers", "-oX", "-", "127.0.0.1").Output()
	must(t, err)
	var run struct {
		Scripts []struct {
			Tables []nmapTable `xml:"table"`
		} `xml:"host>ports>port>script"`
	}
	must(t, xml.Unmarshal(out, &run))
	suites, preference = map[string][]string{}, map[string]string{}
	for _, s := range run.Scripts {
		for _, version := range s.Tables {
			name := strings.Replace(version.Key, "TLSv", "TLS", 1)
			for _, e := range version.Elems {
				if e.Key == "cipher preference" {
					preference[name] = e.Text
				}
			}
			for _, list := range version.Tables {
				for _, suite := range list.Tables {
					for _, e := range suite.Elems {
						if list.Key == "ciphers" && e.Key == "name" {
							suites[name] = append(suites[name], strings.Replace(e.Text, "_AKE_WITH_", "_", 1))
						}
					}
				}
			}
		}
	}
	for _, list := range suites {
		slices.Sort(list)
	}
	return suites, preference
}

// The suites per version must be those that nmap finds, on servers of every age.
func TestSuitesEqualNmap(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	real.Program(t, "nmap")
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	for name, serve := range map[string]func(*testing.T) string{
		"openssl, RSA": func(t *testing.T) string { return openssl(t, rsa) },
		"openssl, ECDSA": func(t *testing.T) string {
			return openssl(t, ec, "-cipher", "ECDHE+AESGCM:ECDHE+CHACHA20", "-serverpref")
		},
		"openssl, old versions": func(t *testing.T) string {
			return openssl(t, rsa, "-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1")
		},
		"openssl, anonymous": func(t *testing.T) string {
			return openssl(t, rsa, "-cipher", "ALL:aNULL:eNULL:@SECLEVEL=0", "-tls1_2")
		},
		"nginx, server's order": func(t *testing.T) string {
			return nginx(t, rsa, "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA; ssl_prefer_server_ciphers on;")
		},
		"node 0.8.28": func(t *testing.T) string { return node(t, "0.8.28", rsa) },
		"node 0.10.1": func(t *testing.T) string { return node(t, "0.10.1", rsa) },
		"node 20":     func(t *testing.T) string { return node(t, "20.20.2", rsa) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := serve(t)
			ours := look(t, target)
			theirs, preference := nmapSuites(t, target)
			for tries := 1; len(theirs) == 0 && tries < 4; tries++ { // on a busy machine nmap gives up early, and says nothing
				theirs, preference = nmapSuites(t, target)
			}
			if len(theirs) == 0 {
				t.Fatal("nmap found nothing")
			}
			for _, p := range ours.Protocols {
				if p.Version == "SSLv2" {
					continue // not part of ssl-enum-ciphers
				}
				mine := slices.Sorted(slices.Values(suitesOf(ours, p.Version)))
				if !slices.Equal(mine, theirs[p.Version]) {
					t.Errorf("%s:\nours %v\nnmap %v", p.Version, mine, theirs[p.Version])
				}
				if want := preference[p.Version]; len(mine) > 1 && (want == "server") != p.ServerPreference && want != "indeterminate" {
					t.Errorf("%s: server preference %v, nmap says %q", p.Version, p.ServerPreference, want)
				}
			}
		})
	}
}
