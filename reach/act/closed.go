package act

import (
	"slices"
	"syscall"
)

// Signals are those that may be sent, by name without SIG.
func Signals() map[string]syscall.Signal {
	return map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT,
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
	}
}

func knownKeyType(name string) bool {
	return slices.Contains([]string{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"}, name)
}

func knownValidator(name string) bool {
	return slices.Contains([]string{"nginx", "haproxy", "apache", "postfix", "dovecot"}, name)
}
