package patch

import (
	"strings"
	"time"

	"staunch/reach/fleet"
	"staunch/steer/plan"
)

// Care is what a program needs beyond "restart its unit". The table is documentation, too: docs/patching.md is held equal to it by a test.
type Care struct {
	Programs []string      // unit names without suffix and instance
	How      string        // restart, reload or person: what brings new library code in
	Proves   []plan.Fact   // beyond "maps nothing old" and "runs"
	Deadline time.Duration // for the restart and its proofs; 0: 3 min
	Says     string
}

// Cares is the table. The first entry that names a unit's program counts.
func Cares() []Care {
	return []Care{
		{
			[]string{"nginx", "apache2", "httpd", "lighttpd"},
			"restart",
			[]plan.Fact{plan.OldWorkersGone},
			5 * time.Minute,
			"a reload keeps the master process and with it the old library: only a restart (or an exec of the new binary) brings new code in; workers that finish old connections must be seen gone",
		},
		{
			[]string{"haproxy"},
			"reload",
			[]plan.Fact{plan.OldWorkersGone},
			10 * time.Minute,
			"in master-worker mode a reload executes the binary anew; old workers live until their last connection ends and must be seen gone",
		},
		{[]string{"varnish", "hitch"}, "restart", []plan.Fact{plan.OldWorkersGone}, 5 * time.Minute, "a reload of VCL or certificates changes no library; the cache is empty after a restart"},
		{[]string{"prosody", "ejabberd"}, "restart", nil, 5 * time.Minute, "every client reconnects at once after the restart: watch for the storm"},
		{[]string{"coturn", "openvpn", "openvpn-server", "strongswan", "wg-quick"}, "restart", nil, 3 * time.Minute, "calls and tunnels break; DTLS and own transports can be judged on the host only"},
		{
			[]string{"unicorn", "puma", "passenger", "thin"},
			"restart",
			[]plan.Fact{plan.OldWorkersGone},
			5 * time.Minute,
			"USR2 executes a new master that may fail silently and leave the old one serving: old workers must be seen gone",
		},
		{
			[]string{"postgresql", "mysql", "mariadb", "mongod", "redis", "redis-server", "valkey"},
			"restart", nil, 10 * time.Minute,
			"a restart closes every session; replicas first, then the primary; a cold cache follows",
		},
		{[]string{"ssh", "sshd"}, "restart", nil, 3 * time.Minute, "running sessions keep the old code: they are named and end with their people; the listener is new at once"},
		{[]string{"postfix", "exim4", "dovecot", "sendmail"}, "restart", []plan.Fact{plan.OldWorkersGone}, 5 * time.Minute, "deliveries under way end first; clients reconnect"},
	}
}

// careOf finds a unit's entry; other units are restarted without ceremony.
func careOf(unit string) Care {
	program := strings.TrimSuffix(unit, ".service")
	program, _, _ = strings.Cut(program, "@")
	for _, c := range Cares() {
		for _, p := range c.Programs {
			if p == program {
				return c
			}
		}
	}
	return Care{How: "restart"}
}

// manner is how a unit gets onto new code: what the service's owner says, unless that would leave the old library in memory.
func manner(unit string, s *fleet.Service) (how, hook, says string) {
	care := careOf(unit)
	how, says = care.How, care.Says
	if s == nil || s.Restart.How == "" {
		return how, "", says
	}
	if s.Restart.How == "reload" && care.How != "reload" {
		return care.How, "", says
	}
	return s.Restart.How, s.Restart.Hook, says
}
