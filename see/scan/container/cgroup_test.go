package container

import (
	"strings"
	"testing"
)

func TestPlacesInControlGroups(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]Place{
		"0::/system.slice/nginx.service\n":                                     {Unit: "nginx.service"},
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service": {Unit: "user@1000.service/x.service"},
		"0::/user.slice/user-0.slice/session-3.scope":                          {Unit: "session-3.scope"},
		"0::/system.slice/docker-" + id + ".scope":                             {Unit: "docker-" + id + ".scope", Runtime: "docker", Container: id},
		"4:memory:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/": {Runtime: "docker", Container: id},
		"4:memory:/docker/" + id + "\n1:name=systemd:/\n0::/":                  {Runtime: "docker", Container: id},
		"0::/machine.slice/libpod-" + id + ".scope/container":                  {Unit: "libpod-" + id + ".scope", Runtime: "podman", Container: id},
		"0::/machine.slice/libpod-conmon-" + id + ".scope":                     {Unit: "libpod-conmon-" + id + ".scope"},
		"0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-" + id + ".scope": {
			Unit: "cri-containerd-" + id + ".scope", Runtime: "containerd", Container: id,
		},
		"0::/kubepods/burstable/pod1/" + id:                 {Runtime: "kubernetes", Container: id},
		"0::/lxc.payload.web/system.slice/ssh.service":      {Unit: "ssh.service", Runtime: "lxc", Container: "web"},
		`0::/machine.slice/machine-my\x2dbox.scope/payload`: {Unit: `machine-my\x2dbox.scope`, Runtime: "systemd-nspawn", Container: "my-box"},
		`0::/machine.slice/machine-qemu\x2d1\x2dvm.scope`:   {Unit: `machine-qemu\x2d1\x2dvm.scope`},
		"9:name=systemd:/\n0::/\n":                          {},
		"":                                                  {},
	} {
		if got := Parse(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/system.slice/docker-" + strings.Repeat("a", 64) + ".scope\n")
	f.Add("9:name=systemd:/lxc/web\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p := Parse(text); (p.Runtime == "") != (p.Container == "") {
			t.Errorf("%+v", p)
		}
	})
}
