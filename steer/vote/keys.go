package vote

import (
	"errors"
	"net"
	"os"

	"staunch/fault"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeyFile bounds a key file.
const maxKeyFile = 64 << 10

// FromFile reads a private key file. If it is encrypted, ask is called for its passphrase; nil means that nobody can be asked.
func FromFile(path string, ask func(prompt string) ([]byte, error)) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "no key at %s", path).Hinted("name one with --key FILE, or add it to your agent with ssh-add")
	}
	if info.Size() > maxKeyFile {
		return nil, fault.New(fault.Usage, "%s is no key: it has %d bytes", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Denied, "cannot read the key %s: %v", path, err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return unlock(path, text, ask)
	}
	if err != nil {
		return nil, fault.New(fault.Usage, "%s is no private key: %v", path, err)
	}
	return signer, nil
}

func unlock(path string, text []byte, ask func(string) ([]byte, error)) (ssh.Signer, error) {
	if ask == nil {
		return nil, fault.New(fault.Denied, "the key %s is locked by a passphrase", path).Hinted("ssh-add %s, then vote through the agent", path)
	}
	passphrase, err := ask("passphrase of " + path + ": ")
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(text, passphrase)
	if err != nil {
		return nil, fault.New(fault.Denied, "the key %s stays locked: %v", path, err)
	}
	return signer, nil
}

// FromAgent is the first of the keys of the agent at a socket that may sign: may says why one may not. Faults: Unreachable, and Denied where none may.
// The connection stays open as long as the signer is used; close it with the second result.
func FromAgent(socket string, may func(ssh.PublicKey) error) (ssh.Signer, func() error, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, fault.New(fault.Unreachable, "the ssh agent: %v", err)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, nil, errors.Join(fault.New(fault.Unreachable, "the ssh agent: %v", err), conn.Close())
	}
	why := "it holds no key"
	for _, s := range signers {
		if err := may(s.PublicKey()); err != nil {
			why = err.Error()
			continue
		}
		return s, conn.Close, nil
	}
	return nil, nil, errors.Join(fault.New(fault.Denied, "none of the agent's %d keys may vote: %s", len(signers), why).
		Hinted("add the key with ssh-add, or the person to allowed_signers"), conn.Close())
}
