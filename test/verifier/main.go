// Command verifier verifies a ledger of Remit and has no code of Remit in it: it was written from
// deploy/guide/security/write-a-verifier.md, with the note and tlog packages of the Go checksum database.
//
//	verifier -key VKEY [-anchors FILE] [-witness VKEY ... -witnessed FILE] [-received FOLDER] FOLDER
//	verifier -key VKEY -proof FILE
//
// Exit codes: 0 whole, 2 sound with a tail that no checkpoint covers, with anchors of which none covers a record in it, or without a checkpoint of records
// in it that every witness has cosigned, 3 broken, 64 bad use.
package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	exitWhole  = 0
	exitTail   = 2
	exitBroken = 3
	exitBad    = 64
)

// broken is what was found wrong with the ledger.
type broken string

// must ends the verification unless a condition holds.
func must(holds bool, format string, values ...any) {
	if !holds {
		panic(broken(fmt.Sprintf(format, values...)))
	}
}

func main() {
	keyText := flag.String("key", "", "the pinned verifier key of the ledger")
	anchorFile := flag.String("anchors", "", "checkpoints that were kept elsewhere")
	witnessedFile := flag.String("witnessed", "", "checkpoints that witnesses have cosigned")
	var witnesses []note.Verifier
	flag.Func("witness", "the key of a witness; repeatable", func(text string) error {
		witness, err := newCosigner(text)
		witnesses = append(witnesses, witness)
		return err
	})
	received := flag.String("received", "", "the folder of the logs of sidecars that the authority of the ledger received")
	flag.CommandLine.Init("verifier", flag.ContinueOnError)
	proofFile := flag.String("proof", "", "a proof of one record, instead of a folder")
	flags := flag.CommandLine.Parse(os.Args[1:])
	key, err := note.NewVerifier(*keyText)
	if flags != nil || err != nil || (flag.NArg() == 1) == (*proofFile != "") {
		fmt.Fprintln(os.Stderr, "usage: verifier -key VKEY [-anchors FILE] [-received FOLDER] FOLDER | -key VKEY -proof FILE:", err)
		os.Exit(exitBad)
	}
	defer func() {
		if found, isBroken := recover().(broken); isBroken {
			fmt.Println("verdict   BROKEN:", string(found))
			os.Exit(exitBroken)
		}
	}()
	if *proofFile != "" {
		checkProof(readFile(*proofFile), key)
		return
	}
	anchors := anchorsIn(*anchorFile, key)
	cosigned, size := witnessedIn(*witnessedFile, key, witnesses)
	log := &ledger{key: key, texts: texts{kept: map[string]int64{}}}
	if *received != "" {
		log.uses = map[string]string{}
	}
	exit := log.verify(flag.Arg(0), anchors, cosigned, size)
	if exit != exitBad && *received != "" && log.verifyReceived(*received) {
		fmt.Println("received  a log has a tail that nothing covers")
		exit = exitTail
	}
	if exit == exitWhole && len(witnesses) > 0 && (size == 0 || size < log.carried) {
		fmt.Println("witnesses not every one has cosigned a checkpoint that the records could be compared with")
		exit = exitTail
	}
	os.Exit(exit)
}

// checkpoint is the head of a log: its number of records and the root of the tree over them.
type checkpoint struct {
	size int64
	root tlog.Hash
}

// opened is the checkpoint in a signed note; its three lines are spelled in one way only.
func opened(text string, key note.Verifier) checkpoint {
	signed, err := note.Open([]byte(text), note.VerifierList(key))
	must(err == nil, "a checkpoint is not signed by the pinned key: %v", err)
	lines := strings.Split(signed.Text, "\n")
	must(len(lines) == 4 && lines[0] == key.Name(), "a checkpoint is not of `%s`", key.Name())
	size, _ := strconv.ParseInt(lines[1], 10, 64)
	root, err := tlog.ParseHash(lines[2])
	must(err == nil && signed.Text == fmt.Sprintf("%s\n%d\n%s\n", key.Name(), size, root), "a checkpoint is misspelled")
	return checkpoint{size, root}
}

// notesIn gives the notes of a file: each is followed by an empty line, and may have the line `# received …` before it.
func notesIn(file string) []string {
	var notes []string
	if file == "" {
		return notes
	}
	received := regexp.MustCompile(`^\n*(# received .*\n)?`)
	blocks := strings.Split(string(readFile(file)), "\n\n")
	for i := 1; i < len(blocks); i++ {
		if strings.HasPrefix(blocks[i], "— ") {
			text := received.ReplaceAllString(blocks[i-1], "")
			notes = append(notes, text+"\n\n"+strings.TrimRight(blocks[i], "\n")+"\n")
		}
	}
	return notes
}

// anchorsIn opens checkpoints that were kept elsewhere.
func anchorsIn(file string, key note.Verifier) []checkpoint {
	var anchors []checkpoint
	for _, text := range notesIn(file) {
		anchors = append(anchors, opened(text, key))
	}
	return anchors
}

// verify prints what it finds out about the ledger in a folder, and gives the exit code.
//
// cosigned are checkpoints that some witness has cosigned, which cover the first `size` records.
func (log *ledger) verify(folder string, anchors, cosigned []checkpoint, size int64) int {
	paths, _ := filepath.Glob(filepath.Join(folder, "segment-????????????????.db"))
	if len(paths) == 0 && len(anchors)+len(cosigned) == 0 {
		fmt.Fprintf(os.Stderr, "verifier: no ledger in `%s`\n", folder)
		return exitBad
	}
	// The names of segments sort in the order of the log.
	for i, path := range paths {
		log.readSegment(path, i+1 < len(paths))
	}
	anchored, signed := log.coverage(anchors)
	log.coverage(cosigned)
	// A head of pruned records was compared with nothing.
	if size >= log.carried {
		anchored = max(anchored, size)
	}
	log.checkPruned(max(anchored, signed))
	log.texts.check(folder, max(anchored, signed))
	fmt.Printf("ledger    %s\norigin    %s\nrecords   %d\npruned    %d\n", folder, log.key.Name(), log.tree.size, log.carried)
	fmt.Printf("anchored  up to %d\nsigned    up to %d\n", anchored, signed)
	if max(anchored, signed) < log.tree.size {
		fmt.Println("verdict   sound, with a tail that no checkpoint covers")
		return exitTail
	}
	if len(anchors) > 0 && anchored <= log.carried && log.carried < log.tree.size {
		fmt.Println("verdict   sound, and the anchors cover none of its records")
		return exitTail
	}
	fmt.Println("verdict   whole")
	return exitWhole
}

// coverage compares every checkpoint and every anchor with the tree of the records, and each with the one before it by a proof of consistency.
func (log *ledger) coverage(anchors []checkpoint) (anchored, signed int64) {
	for _, head := range anchors {
		must(head.size <= log.tree.size, "the log ends at %d, an anchor says %d", log.tree.size, head.size)
		if head.size >= log.carried {
			must(log.tree.root(head.size) == head.root, "the first %d records are not those of an anchor", head.size)
			anchored = max(anchored, head.size)
		}
	}
	var last checkpoint
	for _, head := range log.checkpoints {
		must(head.size <= log.tree.size && head.size >= last.size, "a checkpoint of %d records is out of order", head.size)
		must(log.tree.root(head.size) == head.root, "the first %d records are not those of a checkpoint", head.size)
		if last.size > 0 {
			proof, err := tlog.ProveTree(head.size, last.size, &log.tree)
			must(err == nil, "no proof from %d to %d: %v", last.size, head.size, err)
			err = tlog.CheckTree(proof, head.size, head.root, last.size, last.root)
			must(err == nil, "the checkpoints of %d and %d records are inconsistent", last.size, head.size)
		}
		last, signed = head, head.size
	}
	return anchored, signed
}

// checkPruned looks for the signed record that says why the first records are missing.
func (log *ledger) checkPruned(covered int64) {
	if log.carried == 0 {
		return
	}
	var last pruned
	for _, record := range log.prunings {
		if record.seq <= covered && record.To > last.To {
			last = record
		}
	}
	must(last.To >= log.carried, "records %d to %d are missing, and no signed record says why", last.To+1, log.carried)
	must(last.To > log.carried || last.Root == log.tree.root(log.carried).String(), "record %d names other records than those missing", last.seq)
}

// checkProof verifies a C2SP tlog-proof: the record, its place, its path to the root, and the signed checkpoint.
func checkProof(text []byte, key note.Verifier) {
	head, signed, _ := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	must(len(lines) > 2 && lines[0] == "c2sp.org/tlog-proof@v1", "this is not a proof")
	record, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	must(err == nil, "the record is not base64")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	must(err == nil, "the index is not a number")
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		must(err == nil && hash.String() == line, "a hash of the proof is misspelled")
		proof = append(proof, hash)
	}
	checked := opened(string(signed), key)
	err = tlog.CheckRecord(proof, checked.size, checked.root, index, tlog.RecordHash(record))
	must(err == nil, "it does not prove the record: %v", err)
	must(leafIn(record).Seq == index+1, "the record has another number than %d", index+1)
	fmt.Printf("%s\n", record)
}

func readFile(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		var failed *os.PathError
		errors.As(err, &failed)
		fmt.Fprintln(os.Stderr, "verifier:", failed)
		os.Exit(exitBad)
	}
	return content
}
