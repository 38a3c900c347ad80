package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func newApprove(env *Env) *cobra.Command {
	f := &deskFlags{}
	var key, list, signature string
	cmd := &cobra.Command{
		Use:   "approve PLAN",
		Short: "Sign a plan's digest with your ssh key",
		Long: `Signs the digest of exactly the plan that ` + "`staunch plan show`" + ` prints, as ssh-keygen -Y sign -n staunch-plan would. The key comes from the ssh
agent (the first that is on the list), or from a file. People who may vote stand in an allowed_signers file (ssh-keygen(1)): beside staunch.yaml,
in the configuration directory, or in /etc/staunch.`,
		Example: "  staunch approve 7.1\n  staunch approve 7.1 --key ~/.ssh/id_ed25519\n  staunch approve 7.1 --signature vote.sig   # made elsewhere with ssh-keygen -Y sign",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, false, "", func(d *desk) error {
				signers, err := readSigners(env, f.config, list)
				if err != nil {
					return err
				}
				sealed, err := d.Plan(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				armoured, err := signed(env, sealed.Digest, key, signature, signers)
				if err != nil {
					return err
				}
				_, who, err := d.Vote(cmd.Context(), args[0], armoured, signers)
				if err != nil {
					return err
				}
				a, err := d.Approval(cmd.Context(), sealed, signers)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(env.Stdout, "%s approved plan %s (digest %s)\n%s\n", clean(who), args[0], sealed.Digest, cmp.Or(strings.Join(a.Missing, "; "), "all votes are there"))
				return err
			})
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&key, "key", "", "private key file (default: the ssh agent)")
	fl.StringVar(&list, "signers", "", "allowed_signers file")
	fl.StringVar(&signature, "signature", "", "a signature made elsewhere")
	return cmd
}

// readSigners reads who may vote: the file named, or the first of the usual places.
func readSigners(env *Env, config, named string) (*mandate.Signers, error) {
	places := []string{named}
	if named == "" {
		places = signerPlaces(env, config)
	}
	for _, place := range places {
		b, err := os.ReadFile(place)
		if errors.Is(err, fs.ErrNotExist) && named == "" {
			continue
		}
		if err != nil {
			return nil, fault.New(fault.Denied, "the list of signers: %v", err)
		}
		s, err := mandate.ParseSigners(b, time.Local)
		if err != nil {
			return nil, fault.New(fault.KindOf(err), "%s: %v", place, err)
		}
		return s, nil
	}
	return nil, fault.New(fault.NotFound, "nobody is listed who may vote").
		Hinted("write allowed_signers beside staunch.yaml, a line a person: `ada ssh-ed25519 AAAA...`")
}

func signerPlaces(env *Env, config string) []string {
	var places []string
	if config != "" {
		places = append(places, filepath.Join(filepath.Dir(config), "allowed_signers"))
	} else if dir, err := os.Getwd(); err == nil {
		places = append(places, filepath.Join(dir, "allowed_signers"))
	}
	home := env.Getenv("XDG_CONFIG_HOME")
	if h := env.Getenv("HOME"); home == "" && filepath.IsAbs(h) {
		home = filepath.Join(h, ".config")
	}
	if home != "" {
		places = append(places, filepath.Join(home, "staunch", "allowed_signers"))
	}
	return append(places, "/etc/staunch/allowed_signers")
}

// signed makes or reads the signature.
func signed(env *Env, digest, key, signature string, list *mandate.Signers) (string, error) {
	if signature != "" {
		b, err := os.ReadFile(signature)
		if err != nil {
			return "", fault.New(fault.NotFound, "%v", err)
		}
		return string(b), nil
	}
	if key != "" {
		signer, err := keyFile(key)
		if err != nil {
			return "", err
		}
		return mandate.Sign(signer, digest)
	}
	return signedByAgent(env, digest, list)
}

func keyFile(path string) (ssh.Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%v", err)
	}
	signer, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, fault.New(fault.Denied, "%s has a passphrase", path).Hinted("put it into the agent with ssh-add, or sign with `ssh-keygen -Y sign -n %s` and give --signature", mandate.Namespace)
	}
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", path, err)
	}
	return signer, nil
}

func signedByAgent(env *Env, digest string, list *mandate.Signers) (string, error) {
	socket := env.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return "", fault.New(fault.NotFound, "no ssh agent is running").Hinted("name a key with --key")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", fault.New(fault.Unreachable, "the ssh agent: %v", err)
	}
	defer conn.Close() // the signature is here
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return "", fault.New(fault.Unreachable, "the ssh agent: %v", err)
	}
	why := "the agent holds no key"
	for _, s := range signers {
		if _, err := list.Person(s.PublicKey(), time.Now()); err != nil {
			why = err.Error()
			continue
		}
		return mandate.Sign(s, digest)
	}
	return "", fault.New(fault.Denied, "none of the agent's %d keys may vote: %s", len(signers), why).Hinted("add the key with ssh-add, or the person to allowed_signers")
}
