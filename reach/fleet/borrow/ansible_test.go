package borrow_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"staunch/reach/fleet/borrow"
	"staunch/testbed/real"
)

// inventories hold the same team's hosts in both of Ansible's own notations, with what people really write: ranges, groups of groups,
// variables of hosts, of groups and of all.
func inventories() map[string]string {
	return map[string]string{
		"hosts": `mail ansible_host=10.1.1.1 ansible_port=2022
; a comment
[web]
web[01:03].example.org
odd[1:5:2]
web9 ansible_host="10.1.1.9" # the odd one
[web:vars]
ansible_user=deploy
[db]
db-[a:c] ansible_ssh_port=2200
[north:children]
web
db
[north:vars]
ansible_port=2222
[all:vars]
ansible_user=ops
http_port=8080
`,
		"inventory.yml": `all:
  hosts:
    mail: {ansible_host: 10.1.1.1, ansible_port: 2022}
  vars: {ansible_user: ops, http_port: 8080}
  children:
    north:
      vars: {ansible_port: 2222}
      children:
        web:
          hosts:
            web[01:03].example.org:
            odd[1:5:2]:
            web9:
              ansible_host: 10.1.1.9
          vars:
            ansible_user: deploy
        db:
          hosts:
            db-[a:c]: {ansible_ssh_port: 2200}
`,
	}
}

func TestAnsiblesInventoriesAreReadAsAnsibleReadsThem(t *testing.T) {
	program := real.Program(t, "ansible-inventory")
	for name, text := range inventories() {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-i", file, "--list")
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
		list, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		theirs, err := borrow.Read(list, "list.json", borrow.Files{})
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, list)
		}
		ours, err := borrow.Read([]byte(text), name, borrow.Files{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(ours.Hosts) != 11 {
			t.Errorf("%s: %d hosts", name, len(ours.Hosts))
		}
		for _, h := range theirs.Hosts {
			if mine, _ := ours.Host(h.Name); !reflect.DeepEqual(mine, h) {
				t.Errorf("%s: %s\nread here:    %+v\nread by them: %+v", name, h.Name, mine, h)
			}
		}
		if got := len(theirs.Hosts); got != len(ours.Hosts) {
			t.Errorf("%s: %d hosts, Ansible has %d", name, len(ours.Hosts), got)
		}
	}
}
