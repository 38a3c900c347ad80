package advisory

import "time"

// builtinDate is when the built-in catalogue was last checked against its sources.
func builtinDate() time.Time { return time.Date(2026, 6, 9, 14, 0, 0, 0, time.UTC) }

// Builtin returns the advisories that staunch knows without any network: every OpenSSL CVE and the hand-made rules.
func Builtin() (Set, error) {
	openssl, err := readFacts(opensslFacts, "openssl")
	if err != nil {
		return Set{}, err
	}
	return Set{Date: builtinDate(), Advisories: append(openssl, rules()...)}, nil
}

// BuiltinRules returns of them only what has to be asked of objects: the hand-made rules.
func BuiltinRules() Set { return Set{Date: builtinDate(), Advisories: rules()} }

// rules are the advisories with conditions beyond ranges, and the distributions' fixed versions that are public and certain.
func rules() []Advisory {
	return []Advisory{
		heartbleed(), ccsInjection(), punycode(),
		xz(), webp(), socks5(), log4shell(), regresshion(), looneyTunables(),
	}
}

// fixedIn is one distribution release that was affected until one version.
func fixedIn(ecosystem, source, introduced, version string) Affected {
	return Affected{Ecosystem: ecosystem, Name: source, Ranges: []Range{{Introduced: introduced, Fixed: version}}}
}

// since lists releases that got the fix before they were released: all of them carry at least this version.
func since(source, introduced, version string, ecosystems ...string) []Affected {
	var list []Affected
	for _, eco := range ecosystems {
		list = append(list, fixedIn(eco, source, introduced, version))
	}
	return list
}
