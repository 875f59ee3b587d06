package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// texts is what the records say of the policy sets whose texts are kept beside the ledger.
type texts struct {
	kept    map[string]int64 // the number of the last record that says it, by hash
	givenUp []gone
	isKnown bool
}

type gone struct {
	hash string
	seq  int64
}

func (t *texts) see(parsed leaf) {
	var said struct {
		PolicySet    *string
		IsTextKept   bool
		TextsGivenUp []string
		TextsMissing []string
	}
	must(parsed.members(&said), "record %d is misspelled", parsed.Seq)
	if said.PolicySet != nil && said.IsTextKept {
		t.kept[*said.PolicySet] = parsed.Seq
	}
	if said.TextsGivenUp == nil {
		return
	}
	// Only the first record that names deleted texts may name those that were missing before.
	if t.isKnown {
		said.TextsMissing = nil
	}
	t.isKnown = true
	for _, hash := range slices.Concat(said.TextsGivenUp, said.TextsMissing) {
		t.givenUp = append(t.givenUp, gone{hash, parsed.Seq})
	}
}

// check reads every kept text: it must have the hash it is named by, and be there if a record says so.
func (t *texts) check(folder string, covered int64) {
	for _, each := range t.givenUp {
		if each.seq <= covered && each.seq > t.kept[each.hash] {
			delete(t.kept, each.hash)
		}
	}
	for hash, seq := range t.kept {
		_, err := os.Stat(filepath.Join(folder, "policies", strings.Replace(hash, ":", "_", 1)+".json"))
		must(err == nil, "the text of policy set %s is missing, and record %d says that it is kept", hash, seq)
	}
	paths, _ := filepath.Glob(filepath.Join(folder, "policies", "sha-256_*.json"))
	for _, path := range paths {
		want := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "sha-256_"), ".json")
		must(hashOf(readFile(path)) == want, "`%s` was changed", path)
	}
}

type file struct{ Name, Text string }

func hashOf(kept []byte) string {
	var set struct {
		Catalog, Schema    file
		Policies, Entities []file
		Enforcement        *file
		Limits             *file
		DescriptorSets     []struct{ Name, Data string }
	}
	err := json.Unmarshal(kept, &set)
	must(err == nil, "a text of a policy set is not JSON")
	digest := sha256.New()
	digest.Write([]byte("remit policy set, version 2\n"))
	kind(digest, "catalog", []file{set.Catalog})
	kind(digest, "schema", []file{set.Schema})
	kind(digest, "entities", set.Entities)
	kind(digest, "policies", set.Policies)
	var sets []file
	for _, each := range set.DescriptorSets {
		data, err := base64.RawURLEncoding.DecodeString(each.Data)
		must(err == nil, "a descriptor set is not base64url")
		sets = append(sets, file{each.Name, string(data)})
	}
	kind(digest, "descriptorSets", sets)
	if set.Enforcement != nil {
		kind(digest, "enforcement", []file{*set.Enforcement})
	}
	if set.Limits != nil {
		kind(digest, "limits", []file{*set.Limits})
	}
	return base64.RawURLEncoding.EncodeToString(digest.Sum(nil))
}

// kind hashes the files of one kind: its name, their number, and each name and text after its length in bytes.
func kind(digest hash.Hash, name string, files []file) {
	fmt.Fprintf(digest, "%s %d\n", name, len(files))
	for _, each := range files {
		for _, part := range []string{each.Name, each.Text} {
			fmt.Fprintf(digest, "%d:%s", len(part), part)
		}
	}
}
