package main

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// tree holds the hashes of the Merkle tree as tlog numbers them. Of pruned records only the roots of their full subtrees are left.
type tree struct {
	size    int64
	carried map[int64]tlog.Hash
	base    int64
	stored  []tlog.Hash
}

// ReadHashes gives stored hashes to tlog.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hash, isCarried := t.carried[index]
		if at := index - t.base; !isCarried && at >= 0 && at < int64(len(t.stored)) {
			hash = t.stored[at]
		} else if !isCarried {
			return nil, fmt.Errorf("hash %d was pruned", index)
		}
		hashes[i] = hash
	}
	return hashes, nil
}

// subtrees are the levels and numbers of the largest full subtrees over the first records, largest first.
func subtrees(size int64, each func(level int, number int64)) {
	var from int64
	for level := 62; level >= 0; level-- {
		if width := int64(1) << level; size&width != 0 {
			each(level, from/width)
			from += width
		}
	}
}

// carry begins the tree after pruned records: their number in 8 bytes, then the roots of their full subtrees.
func (t *tree) carry(bytes []byte) {
	must(len(bytes) >= 8, "a tree is cut")
	t.size = int64(binary.BigEndian.Uint64(bytes))
	must(t.size >= 0 && t.size < 1<<53, "a tree has an impossible size")
	t.base = tlog.StoredHashCount(t.size)
	t.carried = map[int64]tlog.Hash{}
	nodes := bytes[8:]
	subtrees(t.size, func(level int, number int64) {
		must(len(nodes) >= tlog.HashSize, "a tree is cut")
		t.carried[tlog.StoredHashIndex(level, number)] = tlog.Hash(nodes[:tlog.HashSize])
		nodes = nodes[tlog.HashSize:]
	})
	must(len(nodes) == 0, "a tree is too long")
}

// bytes writes the tree over the first records as `carry` reads it.
func (t *tree) bytes(size int64) []byte {
	written := binary.BigEndian.AppendUint64(nil, uint64(size))
	subtrees(size, func(level int, number int64) {
		hashes, err := t.ReadHashes([]int64{tlog.StoredHashIndex(level, number)})
		must(err == nil, "%v", err)
		written = append(written, hashes[0][:]...)
	})
	return written
}

func (t *tree) add(leaf tlog.Hash) {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, t)
	must(err == nil, "%v", err)
	t.stored = append(t.stored, hashes...)
	t.size++
}

func (t *tree) root(size int64) tlog.Hash {
	hash, err := tlog.TreeHash(size, t)
	must(err == nil, "%v", err)
	return hash
}
