package desk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/steer/vote"

	"golang.org/x/crypto/ssh"
)

// ReadSigners reads who may vote: the file named, or the first of the usual places.
func ReadSigners(env *Env, config, named string) (*mandate.Signers, error) {
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

// SigningKey is the key in a file, or else ("") the first of the ssh agent's that may vote; done ends the use of the agent.
func SigningKey(env *Env, file string, list *mandate.Signers) (signer ssh.Signer, done func() error, err error) {
	if file == "" {
		return agentSigner(env, list)
	}
	signer, err = vote.FromFile(file, func(prompt string) ([]byte, error) {
		p, err := readPassword(env, prompt)
		return []byte(p), err
	})
	return signer, func() error { return nil }, err
}

// agentSigner is the first of the agent's keys that may vote.
func agentSigner(env *Env, list *mandate.Signers) (ssh.Signer, func() error, error) {
	socket := env.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, fault.New(fault.NotFound, "no ssh agent is running").Hinted("name a key with --key")
	}
	return vote.FromAgent(socket, func(key ssh.PublicKey) error {
		_, err := list.Person(key, time.Now())
		return err
	})
}

// Voters counts who may vote; 0 where no list is to be found, and so nobody knows.
func Voters(env *Env, config string, now time.Time) int {
	list, err := ReadSigners(env, config, "")
	if err != nil {
		return 0
	}
	return list.People(now)
}
