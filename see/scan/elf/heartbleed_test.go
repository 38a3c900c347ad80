package elf_test

import "staunch/see/scan/elf"

// heartbleedAnchors is what see/advisory asks about CVE-2014-0160, repeated here so that the engine is tested on the case it was made for.
func heartbleedAnchors() []elf.Anchor {
	return []elf.Anchor{
		{
			ID: "present", Component: "openssl", Symbols: []string{"tls1_process_heartbeat", "dtls1_process_heartbeat"},
			Code: []elf.Code{
				{Machine: "x86-64", Bytes: "be 3b 01 00 00", AtLeast: 2, Near: []elf.Near{
					{Any: []string{"bf 14 00 00 00"}, Before: 30, After: 35},
					{Any: []string{"ba 6e 01 00 00", "ba 6d 01 00 00", "ba f4 00 00 00"}, Before: 30, After: 35},
				}},
				{Machine: "aarch64", Bytes: "61 27 80 52", AtLeast: 2, Near: []elf.Near{{Any: []string{"80 02 80 52"}, Before: 32, After: 36}}},
			},
			Functions: heartbeatShapes(), Decisive: []string{"functions"},
		},
		{
			ID: "fixed", Component: "openssl", Within: "present", Decisive: []string{"functions"},
			Functions: []elf.Shape{
				{Machine: "x86-64", Has: []elf.Instr{{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"jbe", "ja"}}}},
				{Machine: "x86-64", Has: []elf.Instr{{Op: []string{"cmp"}, Imm: []int64{0x13}, Then: []string{"jb", "jae"}}}},
				{Machine: "aarch64", Has: []elf.Instr{{Op: []string{"cmp"}, Imm: []int64{0x12, 0x13}, Then: []string{"b.ls", "b.hi", "b.cs", "b.cc"}}}},
			},
		},
		{ID: "flag", Component: "openssl", Strings: []string{"-DOPENSSL_NO_HEARTBEATS"}},
	}
}

func heartbeatShapes() []elf.Shape {
	return []elf.Shape{
		{Machine: "x86-64", MaxSize: 4096, Has: []elf.Instr{
			{Imm: []int64{0x18}, AtLeast: 2},
			{Op: []string{"mov"}, Imm: []int64{0x10}},
			{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"je", "jne"}},
			{Op: []string{"movb"}, Imm: []int64{2}},
			{Op: []string{"call"}, AtLeast: 5}, // allocate, copy, random bytes, write, free
		}, HasNot: []elf.Instr{{Op: []string{"movb"}, Imm: []int64{7, 9, 11, 13}}}}, // a list of all numbers is no handler
		{Machine: "aarch64", MaxSize: 4096, Has: []elf.Instr{
			{Op: []string{"mov"}, Imm: []int64{0x18}, AtLeast: 2},
			{Op: []string{"mov"}, Imm: []int64{0x10}},
			{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"b.eq", "b.ne"}},
			{Op: []string{"mov"}, Imm: []int64{2}},
			{Op: []string{"strb"}},
			{Op: []string{"bl"}, AtLeast: 4}, // allocate, copy, random bytes, write, free
			{Op: []string{"blr"}},            // and whoever watches messages
		}},
	}
}
