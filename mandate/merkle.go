package mandate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/bits"
	"runtime"
	"sync"

	"staunch/fault"
)

type hash = [sha256.Size]byte

// Tree is a Merkle tree over leaves (RFC 6962: leaf hashes start with 0, node hashes with 1).
type Tree struct{ hashes []hash }

// Plant makes the tree of a plan's leaves. It refuses leaves that name another plan or name the same step and host twice.
func Plant(leaves []Leaf) (Tree, error) {
	if len(leaves) == 0 || len(leaves) > MaxLeaves {
		return Tree{}, fault.New(fault.Usage, "a plan has between 1 and %d leaves, this one has %d", MaxLeaves, len(leaves))
	}
	seen := make(map[[2]string]bool, len(leaves))
	for _, leaf := range leaves {
		if err := leaf.Validate(); err != nil {
			return Tree{}, err
		}
		at := [2]string{leaf.Step, leaf.Host}
		if leaf.Plan != leaves[0].Plan || seen[at] {
			return Tree{}, fault.New(fault.Usage, "step %s on host %s stands twice in plan %s, or names another plan", leaf.Step, leaf.Host, leaves[0].Plan)
		}
		seen[at] = true
	}
	return hashAll(leaves)
}

// hashAll hashes leaves on all processors: a plan for a large fleet has many.
func hashAll(leaves []Leaf) (Tree, error) {
	tree := Tree{hashes: make([]hash, len(leaves))}
	parts := runtime.NumCPU()
	failed := make([]error, parts)
	var all sync.WaitGroup
	for part := range parts {
		all.Go(func() {
			failed[part] = tree.hashPart(leaves, part*len(leaves)/parts, (part+1)*len(leaves)/parts)
		})
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return Tree{}, err
		}
	}
	return tree, nil
}

// hashPart hashes some leaves; leaves of one step follow each other and have the same act.
func (t Tree) hashPart(leaves []Leaf, from, to int) error {
	var last, canonical []byte
	for i := from; i < to; i++ {
		if canonical == nil || !bytes.Equal(last, leaves[i].Act) {
			var err error
			if canonical, err = Canonical(leaves[i].Act); err != nil {
				return err
			}
			last = leaves[i].Act
		}
		t.hashes[i] = leaves[i].hashWith(canonical)
	}
	return nil
}

// Root returns the root, lower-case hex.
func (t Tree) Root() string {
	h := rootOf(t.hashes)
	return hex.EncodeToString(h[:])
}

// Path returns the audit path of leaf i, from the leaf's sibling upwards, lower-case hex.
func (t Tree) Path(i int) ([]string, error) {
	if i < 0 || i >= len(t.hashes) {
		return nil, fault.New(fault.Usage, "leaf %d of %d", i, len(t.hashes))
	}
	path := []string{}
	for _, h := range pathOf(t.hashes, i) {
		path = append(path, hex.EncodeToString(h[:]))
	}
	return path, nil
}

func (l Leaf) hash() (hash, error) {
	does, err := Canonical(l.Act)
	if err != nil {
		return hash{}, err
	}
	return l.hashWith(does), nil
}

// hashWith writes the leaf's canonical JSON around its act's, which many leaves of a plan share. It equals Canonical(l), as a test holds it to.
func (l Leaf) hashWith(does []byte) hash {
	var b bytes.Buffer
	b.Grow(len(does) + 128)
	b.WriteString("\x00{\"act\":")
	b.Write(does)
	for _, member := range []struct{ name, value string }{{"host", l.Host}, {"plan", l.Plan}, {"ring", l.Ring}, {"step", l.Step}} {
		if member.value == "" && member.name == "ring" {
			continue
		}
		b.WriteString(`,"` + member.name + `":`)
		writeString(&b, member.value)
	}
	if l.Undo {
		b.WriteString(`,"undo":true`)
	}
	b.WriteByte('}')
	return sha256.Sum256(b.Bytes())
}

func node(left, right hash) hash {
	return sha256.Sum256(bytes.Join([][]byte{{1}, left[:], right[:]}, nil))
}

// split is the largest power of two smaller than n (n > 1).
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func rootOf(hashes []hash) hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	k := split(len(hashes))
	return node(rootOf(hashes[:k]), rootOf(hashes[k:]))
}

func pathOf(hashes []hash, i int) []hash {
	if len(hashes) == 1 {
		return nil
	}
	k := split(len(hashes))
	if i < k {
		return append(pathOf(hashes[:k], i), rootOf(hashes[k:]))
	}
	return append(pathOf(hashes[k:], i-k), rootOf(hashes[:k]))
}

// climb computes the root from a leaf's hash, its index, the number of leaves and the audit path (RFC 9162, 2.1.3.2).
func climb(h hash, index, leaves int, path []string) (string, error) {
	wrong := fault.New(fault.Denied, "the leaf's path does not lead to the plan's root")
	if index < 0 || index >= leaves {
		return "", wrong
	}
	at, last := index, leaves-1
	for _, step := range path {
		var sibling hash
		if n, err := hex.Decode(sibling[:], []byte(step[:min(len(step), 2*sha256.Size)])); err != nil || n != sha256.Size || len(step) != 2*sha256.Size || last == 0 {
			return "", wrong
		}
		if at&1 == 1 || at == last {
			h = node(sibling, h)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			h = node(h, sibling)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 {
		return "", wrong
	}
	return hex.EncodeToString(h[:]), nil
}
