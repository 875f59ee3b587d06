package main

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"net/url"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite"
)

// ledger is what was read so far: segment after segment, record after record.
type ledger struct {
	key         note.Verifier
	tree        tree
	head        []byte // the hash of the last leaf; empty before the first
	carried     int64  // the records before the first segment, which were pruned
	isBegun     bool
	checkpoints []checkpoint
	prunings    []pruned
	said        *saidByCheckpoint // by the record under the last checkpoint
	texts       texts
	uses        map[string]string // of an authority whose sidecars' logs are verified: digests of uses, by decision id
	emitters    []emitter
	noted       int64 // of a received log: the size of the last checkpoint in heads of sections
}

type pruned struct {
	To     int64
	Root   string
	Newest int64
	seq    int64
}

// saidByCheckpoint is what the last record under a checkpoint says of the segment it is in.
type saidByCheckpoint struct {
	Kind  string
	Size  int64
	At    *int64
	Begun *int64
	Taken map[string]int64
}

const schema = `CREATE TABLE log (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  origin TEXT NOT NULL,
  carried BLOB NOT NULL,
  carried_head BLOB NOT NULL,
  range BLOB NOT NULL,
  head BLOB NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE records (
  seq INTEGER PRIMARY KEY,
  keys BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE index_blocks (
  block INTEGER PRIMARY KEY,
  upto INTEGER NOT NULL
) STRICT;
CREATE TABLE index_drawers (
  id INTEGER PRIMARY KEY,
  entries BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  range BLOB NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TABLE taken (
  file_id TEXT PRIMARY KEY,
  outbox INTEGER NOT NULL
) STRICT, WITHOUT ROWID`

// rows calls `each` for every row of a query, with a function that reads its columns.
func rows(db *sql.DB, query string, each func(scan func(into ...any))) {
	found, err := db.Query(query)
	must(err == nil, "%v", err)
	defer found.Close()
	for found.Next() {
		each(func(into ...any) {
			err := found.Scan(into...)
			must(err == nil, "%v", err)
		})
	}
	must(found.Err() == nil, "%v", found.Err())
}

// readSegment reads one file of the ledger and compares every column of it with the records or a checkpoint.
func (log *ledger) readSegment(path string, isFollowed bool) {
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?mode=ro&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)")
	must(err == nil, "%v", err)
	defer db.Close()
	var found []string
	rows(db, "SELECT sql FROM sqlite_schema ORDER BY rowid", func(scan func(...any)) {
		var text sql.NullString
		scan(&text)
		found = append(found, text.String)
	})
	if len(found) == 0 && !isFollowed {
		return // A file that was just made is empty.
	}
	must(strings.Join(found, ";\n") == schema, "`%s` has other tables than a segment", path)
	rows(db, "PRAGMA integrity_check(1)", func(scan func(...any)) {
		var text string
		scan(&text)
		must(text == "ok", "`%s`: %s", path, text)
	})
	own := log.readHeader(db, path)
	index := newIndex(db, log.tree.size)
	leaves := map[int64]leaf{} // of checkpoints
	rows(db, "SELECT seq, keys, bytes FROM records ORDER BY seq", func(scan func(...any)) {
		var seq int64
		var keys, stored []byte
		scan(&seq, &keys, &stored)
		parsed := log.readRecord(seq, stored)
		index.add(seq, keys, parsed, len(stored))
		if parsed.Record["kind"] == "checkpoint" {
			leaves[seq] = parsed
		}
	})
	index.end(isFollowed)
	log.readCheckpoints(db, own, leaves, isFollowed)
}

type header struct {
	path       string
	carried    int64
	rng, head  []byte
	createdMs  int64
	taken      map[string]int64
	saidBefore *saidByCheckpoint
}

// readHeader reads what a segment says of itself, and that it begins where the one before it ends.
func (log *ledger) readHeader(db *sql.DB, path string) header {
	own := header{path: path, taken: map[string]int64{}}
	count := 0
	rows(db, "SELECT id, origin, carried, carried_head, range, head, created_ms FROM log", func(scan func(...any)) {
		var id int64
		var origin string
		var carried, carriedHead []byte
		scan(&id, &origin, &carried, &carriedHead, &own.rng, &own.head, &own.createdMs)
		count++
		must(id == 1 && count == 1, "`%s` has more than one header", path)
		must(origin == log.key.Name(), "`%s` is of `%s`, the key is of `%s`", path, origin, log.key.Name())
		if !log.isBegun {
			log.isBegun = true
			log.tree.carry(carried)
			log.carried, log.head = log.tree.size, bytes.Clone(carriedHead)
			must((log.carried == 0) == (len(log.head) == 0), "`%s` begins with a wrong hash", path)
		}
		isNext := bytes.Equal(carried, log.tree.bytes(log.tree.size)) && bytes.Equal(carriedHead, log.head)
		must(isNext, "`%s` does not continue the %d records before it", path, log.tree.size)
	})
	must(count == 1, "`%s` has no header", path)
	rows(db, "SELECT file_id, outbox FROM taken", func(scan func(...any)) {
		var file string
		var outbox int64
		scan(&file, &outbox)
		own.taken[file] = outbox
	})
	own.carried = log.tree.size
	return own
}

// readRecord adds a record to the tree, if it has the next number and names the hash of the record before it.
func (log *ledger) readRecord(seq int64, stored []byte) leaf {
	must(seq == log.tree.size+1, "record %d is missing: the next is %d", log.tree.size+1, seq)
	parsed := leafIn(stored)
	must(parsed.Seq == seq, "record %d has the bytes of record %d", seq, parsed.Seq)
	must(parsed.Prev == base64.StdEncoding.EncodeToString(log.head), "record %d does not follow from the record before it", seq)
	hash := tlog.RecordHash(stored)
	log.tree.add(hash)
	log.head = hash[:]
	switch parsed.Record["kind"] {
	case "pruned":
		record := pruned{seq: seq}
		must(parsed.members(&record), "record %d is misspelled", seq)
		log.prunings = append(log.prunings, record)
	case "policy":
		log.texts.see(parsed)
	}
	if log.uses != nil {
		log.see(parsed)
	}
	return parsed
}

// readCheckpoints opens each checkpoint of a segment; the record under it says what else the segment may say of itself.
func (log *ledger) readCheckpoints(db *sql.DB, own header, leaves map[int64]leaf, isFollowed bool) {
	before := log.said
	if before == nil {
		before = log.saidByPruning(own.carried)
	}
	said, last := before, int64(-1)
	rows(db, "SELECT size, at_ms, range, note FROM checkpoints ORDER BY size", func(scan func(...any)) {
		var size, atMs int64
		var rng []byte
		var text string
		scan(&size, &atMs, &rng, &text)
		head := opened(text, log.key)
		must(head.size == size && size <= log.tree.size, "`%s` has a checkpoint at the wrong place", own.path)
		must(last >= 0 || own.carried == 0 || size == own.carried, "`%s` lacks the checkpoint of the records before it", own.path)
		must(bytes.Equal(rng, log.tree.bytes(size)), "the tree beside the checkpoint of %d records is not theirs", size)
		log.checkpoints = append(log.checkpoints, head)
		last = size
		if size > own.carried {
			said = new(saidByCheckpoint)
			must(leaves[size].members(said) && said.Kind == "checkpoint" && said.Size == size, "record %d is not that of its checkpoint", size)
			must(said.Begun == nil || *said.Begun == own.createdMs, "`%s` was begun at another time", own.path)
		}
		must(said == nil || said.At == nil || *said.At == atMs, "the checkpoint of %d records has another time", size)
		own.checkTaken(said, false)
	})
	must(last >= 0 || own.carried == 0, "`%s` lacks the checkpoint of the records before it", own.path)
	must(bytes.Equal(own.rng, log.tree.bytes(log.tree.size)), "`%s` does not end with record %d", own.path, log.tree.size)
	must(bytes.Equal(own.head, log.head), "`%s` ends with another hash", own.path)
	must(!isFollowed || last == log.tree.size, "no checkpoint covers the end of `%s`", own.path)
	if own.carried > 0 && before != nil && before.At != nil {
		must(*before.At == own.createdMs, "`%s` was begun at another time", own.path)
	}
	own.checkTaken(said, max(last, 0) == log.tree.size)
	log.said = said
}

// saidByPruning is when the record before the first segment was written, by the record that pruned it.
func (log *ledger) saidByPruning(carried int64) *saidByCheckpoint {
	for _, record := range log.prunings {
		if record.To == carried {
			return &saidByCheckpoint{At: &record.Newest}
		}
	}
	return nil
}

// checkTaken compares how many records of each state file were taken. More may be taken only after the last checkpoint.
func (own header) checkTaken(said *saidByCheckpoint, isEnd bool) {
	if said == nil || said.Taken == nil {
		return
	}
	for file, number := range said.Taken {
		must(own.taken[file] >= number, "`%s` has taken fewer records of a state file", own.path)
	}
	for file, number := range own.taken {
		must(!isEnd || number <= said.Taken[file], "`%s` has taken more records of a state file", own.path)
	}
}

// index is the rebuilt index of a segment: blocks of records, each with 64 drawers of entries.
type index struct {
	uptos   []int64          // of the stored blocks
	drawers map[int64][]byte // the stored drawers
	block   int
	from    int64
	size    int
	bytes   int
	entries [64][]byte
}

func newIndex(db *sql.DB, carried int64) *index {
	own := &index{drawers: map[int64][]byte{}, from: carried + 1}
	rows(db, "SELECT block, upto FROM index_blocks ORDER BY block", func(scan func(...any)) {
		var block, upto int64
		scan(&block, &upto)
		must(block == int64(len(own.uptos)), "a block of the index is missing")
		own.uptos = append(own.uptos, upto)
	})
	rows(db, "SELECT id, entries FROM index_drawers", func(scan func(...any)) {
		var id int64
		var entries []byte
		scan(&id, &entries)
		own.drawers[id] = bytes.Clone(entries)
	})
	return own
}

func (own *index) isFull() bool { return own.size >= 4096 || own.bytes >= 4<<20 }

func (own *index) add(seq int64, stored []byte, parsed leaf, length int) {
	must(!own.isFull(), "the index lacks records from %d on", own.from)
	var keys []byte
	for number, name := range []string{"decisionId", "task", "traceId"} {
		if value, isText := parsed.Record[name].(string); isText {
			hash := fnv.New32a()
			hash.Write([]byte(value))
			key := binary.BigEndian.AppendUint32(nil, uint32(number)<<30|hash.Sum32()>>2)
			keys = append(keys, key...)
			drawer := &own.entries[key[0]%64]
			*drawer = append(append(*drawer, key...), byte(own.size>>8), byte(own.size))
		}
	}
	must(bytes.Equal(keys, stored), "the keys of record %d do not match it", seq)
	own.size++
	own.bytes += length
	if own.block < len(own.uptos) && own.uptos[own.block] == seq {
		for drawer, entries := range own.entries {
			found, isThere := own.drawers[int64(own.block*64+drawer)]
			must(isThere && bytes.Equal(found, entries), "the index does not match records %d to %d", own.from, seq)
		}
		own.block++
		own.from, own.size, own.bytes, own.entries = seq+1, 0, 0, [64][]byte{}
	}
}

func (own *index) end(isFollowed bool) {
	must(own.block == len(own.uptos) && len(own.drawers) == own.block*64, "the index has entries beyond the records")
	must(!own.isFull() && (!isFollowed || own.size == 0), "the index lacks records from %d on", own.from)
}
