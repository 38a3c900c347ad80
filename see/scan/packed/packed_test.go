package packed_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"staunch/fault"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
	"staunch/see/scan/packed"
)

var most = packed.Most{Processes: 100, Objects: 100, Mapped: 1000}

// busy is a machine with everything that a report can tell of processes and of what is dormant.
func busy() *scan.Report {
	pkg := &owner.Package{Type: "deb", Name: "libssl3", Version: "3.0.11-1"}
	r := &scan.Report{Schema: scan.Schema, Host: "web1"}
	for i := range 4 {
		r.Objects = append(r.Objects, scan.Object{Object: elf.Object{ID: fmt.Sprint("id", i), Size: int64(i)}, Path: fmt.Sprint("/lib/", i)})
	}
	libraries := []scan.Mapped{{ID: "id0", Path: "/lib/0"}, {ID: "id1", Path: "/lib/1", State: scan.Deleted, OnDisk: "id2", Package: pkg}, {Path: "/mnt/dead", Unread: "gave no answer"}}
	for pid := range 3 {
		p := scan.Process{PID: 100 + pid, PPID: 1, Start: time.Unix(1700000000, int64(pid)).UTC(), Exe: "/usr/sbin/nginx", Name: "nginx", User: "root", Unit: "nginx.service", Listens: []scan.Listen{}, Objects: libraries}
		if pid == 1 {
			p.Args, p.Root, p.Listens = []string{"nginx", "-g", "daemon off;"}, "mnt:[7]", []scan.Listen{{Proto: "tcp", Addr: "::", Port: 443, Reach: "public"}}
			p.Container, p.Modules = &scan.Container{Runtime: "podman"}, []scan.Module{{Path: "/srv/a.jar"}}
		}
		r.Processes = append(r.Processes, p)
	}
	r.Dormant = []scan.Dormant{
		{Path: "/usr/bin/curl", ID: "id3", Start: "path", Needs: []string{"id0", "id1"}},
		{Path: "/usr/bin/wget", ID: "id2", Start: "timer", Unit: "wget.timer", Needs: []string{"id0", "id1"}},
		{Path: "/opt/a.jar", Start: "opt", Modules: []scan.Module{{Path: "/opt/a.jar"}}},
	}
	return r
}

// travelled is a report packed, written, read and opened.
func travelled(t *testing.T, r *scan.Report) *scan.Report {
	t.Helper()
	p, err := packed.Of(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again packed.Report
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	got, err := again.Open(most)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAReportComesBackAsItWas(t *testing.T) {
	if got := travelled(t, busy()); !reflect.DeepEqual(got, busy()) {
		t.Errorf("got  %+v\nwant %+v", got, busy())
	}
	odd := busy()
	odd.Dormant[1].Needs = []string{"id0", "nobody describes this"}
	if got := travelled(t, odd); !reflect.DeepEqual(got.Dormant, odd.Dormant) {
		t.Errorf("got %+v", got.Dormant)
	}
	odd.Processes[0].Objects = []scan.Mapped{{ID: "nobody describes this"}}
	if _, err := packed.Of(odd); !fault.Is(err, fault.Corrupt) {
		t.Errorf("an object that is not there: %v", err)
	}
}

func TestRowsThatReferToNothingAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(*packed.Report){
		"another form":                  func(p *packed.Report) { p.V = 2 },
		"a word":                        func(p *packed.Report) { p.Procs[0][3] = 1 << 40 },
		"a list":                        func(p *packed.Report) { p.Procs[0][7] = -1 },
		"more":                          func(p *packed.Report) { p.Procs[0][8] = 99 },
		"a mapping":                     func(p *packed.Report) { p.Lists[p.Procs[0][7]][0] = 99 },
		"an object of a mapping":        func(p *packed.Report) { p.Maps[0].Object = 99 },
		"a package":                     func(p *packed.Report) { p.Maps[0].Package = -2 },
		"a dormant program's path":      func(p *packed.Report) { p.Dormant[0][0] = -1 },
		"a dormant program's object":    func(p *packed.Report) { p.Dormant[0][1] = 99 },
		"a dormant program's libraries": func(p *packed.Report) { p.Lists[p.Dormant[0][4]][0] = -1 },
		"too many":                      func(p *packed.Report) { p.Procs = make([][9]int64, 101) },
	} {
		p, err := packed.Of(busy())
		if err != nil {
			t.Fatal(err)
		}
		spoil(p)
		if r, err := p.Open(most); err == nil {
			t.Errorf("%s: opened as %+v", what, r)
		}
	}
	p, err := packed.Of(busy())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(packed.Most{Processes: 100, Objects: 100, Mapped: p.Mapped() - 1}); !fault.Is(err, fault.Full) {
		t.Errorf("more than may be: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	p, err := packed.Of(busy())
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"procs":[[1,1,1,0,0,0,0,0,0]],"words":[""],"lists":[[]],"more":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in packed.Report
		if json.Unmarshal(b, &in) != nil {
			return
		}
		r, err := in.Open(most)
		if err != nil {
			return
		}
		if total := len(r.Processes) + len(r.Objects); total > most.Processes+most.Objects {
			t.Errorf("%d rows were opened", total)
		}
	})
}
