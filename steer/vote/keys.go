package vote

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"

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

// FromAgent picks a key of the agent at a socket: the one whose public half is given (a line as in id_ed25519.pub), or the only one.
// The connection stays open as long as the signer is used; close it with the second result.
func FromAgent(socket string, public []byte) (ssh.Signer, func() error, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, fault.New(fault.Unreachable, "no ssh agent answers: %v", err).Hinted("name a key file with --key FILE")
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		conn.Close()
		return nil, nil, fault.New(fault.Unreachable, "the ssh agent does not answer: %v", err)
	}
	signer, err := pick(signers, public)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return signer, conn.Close, nil
}

func pick(signers []ssh.Signer, public []byte) (ssh.Signer, error) {
	if len(public) > 0 {
		want, _, _, _, err := ssh.ParseAuthorizedKey(public)
		if err != nil {
			return nil, fault.New(fault.Usage, "not a public key: %v", err)
		}
		for _, s := range signers {
			if bytes.Equal(s.PublicKey().Marshal(), want.Marshal()) {
				return s, nil
			}
		}
		return nil, fault.New(fault.NotFound, "the agent does not hold %s", ssh.FingerprintSHA256(want)).Hinted("ssh-add -l shows what it holds")
	}
	switch len(signers) {
	case 0:
		return nil, fault.New(fault.NotFound, "the ssh agent holds no key").Hinted("ssh-add, or name a key file with --key FILE")
	case 1:
		return signers[0], nil
	}
	var names []string
	for _, s := range signers {
		names = append(names, ssh.FingerprintSHA256(s.PublicKey()))
	}
	return nil, fault.New(fault.Usage, "the ssh agent holds %d keys", len(signers)).Hinted("choose one with --key FILE.pub: %s", strings.Join(names, ", "))
}
