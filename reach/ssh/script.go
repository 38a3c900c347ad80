package ssh

// The commands that run on a host before the host part does. They are fixed: nothing is ever put into them, all data comes on stdin.
// One line and no single quote, so that any login shell passes them on to /bin/sh unchanged.
const (
	// directory of the host part: root's own, or the user's own. The user is read from procfs, as is the machine below: each program that
	// is not started saves a host more time than reading takes.
	where = `u=; while read -r k v w x; do [ "$k" = Uid: ] && u=$w && break; done </proc/self/status; [ -n "$u" ] || u=$(id -u); case $u in 0) d=/var/cache/staunch-host;; *) d=${XDG_CACHE_HOME:-$HOME/.cache}/staunch-host;; esac; `

	// enter reads "staunch-hello NONCE SUM-AMD64 B2-AMD64 SUM-ARM64 B2-ARM64 NAME [look]". It runs the host part if the right one is there: it is
	// opened once, its hash is taken from that open file, and that open file is executed, so that nothing can be put in its place in
	// between. The hash is BLAKE2b where the host has b2sum, because it takes a quarter of sha256sum's time; what is compared with is ours.
	enter = `umask 077; echo; echo staunch-ready; IFS=" " read -r tag nonce amd amdb arm armb name how || exit 81; [ "$tag" = staunch-hello ] || exit 81; { read -r m </proc/sys/kernel/arch; } 2>/dev/null || m=$(uname -m); ` +
		`case $m in x86_64) s=$amd; b=$amdb;; aarch64) s=$arm; b=$armb;; *) echo "staunch-need $nonce $m"; exit 0;; esac; ` + where +
		`if [ -r "$d/$s" ]; then exec 3<"$d/$s"; h=$(b2sum <&3 2>/dev/null) || h=$(sha256sum <&3); h=${h%% *}; ` +
		`if [ "$h" = "$s" ] || [ "$h" = "$b" ]; then exec /proc/self/fd/3 serve "$nonce" "$name" ${how:+"$how"}; fi; fi; ` +
		`echo "staunch-need $nonce $m"`

	// put reads "staunch-put SUM" and then the packed program up to the end. What is not complete and right is removed.
	put = `umask 077; echo; echo staunch-ready; IFS=" " read -r tag s || exit 81; [ "$tag" = staunch-put ] || exit 81; ` + where +
		`mkdir -p "$d" || exit 82; [ -O "$d" ] || exit 83; chmod 700 "$d" || exit 83; t=$(mktemp "$d/.part.XXXXXX") || exit 82; ` +
		`trap "rm -f \"$t\"" EXIT; gzip -dc >"$t" || exit 84; h=$(sha256sum <"$t"); [ "${h%% *}" = "$s" ] || exit 85; ` +
		`chmod 500 "$t" && mv -f "$t" "$d/$s" || exit 86; trap - EXIT; echo staunch-done`

	// clean removes the host part and all that it remembers of files. The journal of orders (/var/lib/staunch-host) stays.
	clean = `echo; echo staunch-ready; read -r tag || exit 81; [ "$tag" = staunch-clean ] || exit 81; ` + where +
		`if [ -d "$d" ]; then rm -rf "$d" || exit 82; echo staunch-removed; else echo staunch-nothing; fi`
)

// prompt is what sudo is told to ask with: it cannot be confused with anything else on stderr, in whatever language.
const prompt = "staunch-asks-sudo:"

// as wraps a script for the rights that are wanted.
func as(script string, sudo sudoMode) string {
	switch sudo {
	case sudoQuiet:
		return "exec sudo -n /bin/sh -c '" + script + "'"
	case sudoAsk:
		return "exec sudo -k -S -p " + prompt + " /bin/sh -c '" + script + "'"
	}
	return "exec /bin/sh -c '" + script + "'"
}

type sudoMode int

const (
	sudoNever sudoMode = iota
	sudoQuiet          // only without a password
	sudoAsk            // with the password that a person typed
)
