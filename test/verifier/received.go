package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// emitter is what the ledger of an authority says of the log of a sidecar: a record of kind `emitter`.
type emitter struct {
	At                            float64
	Event, Origin, By, Root       string
	From, Size, Signed            *int64
	VerifierKey, Note, Tree, Last *string
}

// history is all that the ledger says of one log.
type history struct {
	origin, id, keyText string
	key                 note.Verifier
	notes               []string
	kept                checkpoint // the most records that were kept, and the root over them
	pruned, last        []byte     // the tree over deleted records, and the hash of the last
	prunedSize          int64
	deleted             [][2]int64
	isFromStart         bool
	problem             string
}

// histories reads the records in the order of time. A log begins with `joined`, which names the key of its checkpoints.
func histories(records []emitter) map[string]*history {
	slices.SortStableFunc(records, func(a, b emitter) int { return cmp.Compare(a.At, b.At) })
	known := map[string]*history{}
	for _, said := range records {
		root, err := tlog.ParseHash(said.Root)
		if said.Origin == "" || said.Size == nil || err != nil {
			continue
		}
		head := checkpoint{*said.Size, root}
		own := known[said.Origin]
		if own == nil {
			if own = joined(said, head); own == nil {
				continue
			}
			known[said.Origin] = own
		}
		if said.Note != nil {
			own.notes = append(own.notes, *said.Note)
		}
		if said.Event == "joined" {
			own.id = said.By
		}
		if said.Event == "pruned" {
			own.prune(said, head)
			// Deleted records that no checkpoint covered are vouched for by nobody.
			if said.Signed == nil || *said.Signed < head.size {
				continue
			}
		}
		if head.size >= own.kept.size {
			own.kept = head
		}
	}
	return known
}

func joined(said emitter, head checkpoint) *history {
	if said.Event != "joined" || said.VerifierKey == nil {
		return nil
	}
	key, err := note.NewVerifier(*said.VerifierKey)
	if err != nil {
		return nil
	}
	return &history{origin: said.Origin, keyText: *said.VerifierKey, key: key, kept: head, isFromStart: head.size == 0}
}

// prune reads that the retention deleted records, with the tree over them.
func (own *history) prune(said emitter, head checkpoint) {
	if said.VerifierKey != nil && *said.VerifierKey != own.keyText {
		own.problem = "was deleted with checkpoints of another key"
	}
	if head.size == own.kept.size && head.root != own.kept.root {
		own.problem = "was deleted with other records than those that were kept"
	}
	from := int64(1)
	if said.From != nil {
		from = *said.From + 1
	}
	own.deleted = append(own.deleted, [2]int64{from, head.size})
	if said.Tree == nil || said.Last == nil || head.size < own.prunedSize {
		return
	}
	var deleted tree
	nodes, last := decoded(*said.Tree), decoded(*said.Last)
	deleted.carry(nodes)
	must(deleted.size == head.size && deleted.root(head.size) == head.root, "the tree over deleted records of `%s` has another root", own.origin)
	own.pruned, own.last, own.prunedSize = nodes, last, head.size
}

// checkDeleted looks for records that were missing when those after them were deleted.
func (own *history) checkDeleted() {
	slices.SortStableFunc(own.deleted, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	var upTo int64
	for i, part := range own.deleted {
		must(i == 0 && !own.isFromStart || part[0] <= upTo+1, "records %d to %d of `%s` were missing when those after them were deleted", upTo+1, part[0]-1, own.origin)
		upTo = max(upTo, part[1])
	}
}

// section is what was received of a log at once: its head, and its records in lines.
type section struct {
	Origin, Id, Tree, Last    string
	VerifierKey               *string
	Term, From, Leaves, Bytes int64
	Checkpoints               []string
	text                      []byte
	end                       int64 // its last record that counts
}

const maxHead = 1 << 20

// sectionsIn reads the whole sections of a file. What a crash leaves at its end is skipped.
func sectionsIn(path string) []*section {
	var found []*section
	content := readFile(path)
	for at := 0; at < len(content); {
		line, _, isWhole := bytes.Cut(content[at:], []byte("\n"))
		must(len(line) <= maxHead, "`%s` has no line end after byte %d", path, at)
		if !isWhole {
			break
		}
		head := headIn(line, path)
		from := at + len(line) + 1
		at = from + int(head.Bytes)
		if at <= len(content) {
			head.text = content[from:at]
			found = append(found, head)
		}
	}
	return found
}

var headNames = []string{"origin", "id", "verifierKey", "term", "tree", "last", "from", "leaves", "bytes", "checkpoints"}

func headIn(line []byte, path string) *section {
	var names map[string]json.RawMessage
	var head section
	isHead := json.Unmarshal(line, &names) == nil && json.Unmarshal(line, &head) == nil
	for _, name := range headNames {
		_, isThere := names[name]
		isHead = isHead && (isThere || name == "verifierKey")
		delete(names, name)
	}
	isHead = isHead && len(names) == 0 && head.Term >= 0 && head.From >= 0
	isHead = isHead && head.Leaves >= 0 && head.Leaves <= 1<<20 && head.Bytes >= 0 && head.Bytes <= 1<<30
	must(isHead, "`%s` has a line that is not the head of a section", path)
	return &head
}

// inOrder orders the sections of one log. If two processes received the same records, those of the higher term count from where they begin.
func inOrder(sections []*section) {
	slices.SortStableFunc(sections, func(a, b *section) int { return cmp.Compare(b.Term, a.Term) })
	end, next := int64(math.MaxInt64), int64(math.MaxInt64)
	for i, each := range sections {
		if i > 0 && each.Term < sections[i-1].Term {
			end = next
		}
		each.end = min(each.From+each.Leaves, end)
		next = min(next, each.From)
	}
	slices.SortStableFunc(sections, func(a, b *section) int { return cmp.Compare(a.From, b.From) })
}

// verifyReceived verifies the logs of sidecars in a folder by the ledger of their authority. Gives whether one has a tail that nothing covers.
func (authority *ledger) verifyReceived(folder string) (hasTail bool) {
	known := histories(authority.emitters)
	sections := map[string][]*section{}
	name := regexp.MustCompile(`^records-\d{16}-[0-9a-f]{8,16}\.jsonl$`)
	entries, err := os.ReadDir(folder)
	must(err == nil || os.IsNotExist(err), "%v", err)
	for _, entry := range entries {
		if !name.MatchString(entry.Name()) {
			continue
		}
		for _, each := range sectionsIn(filepath.Join(folder, entry.Name())) {
			sections[each.Origin] = append(sections[each.Origin], each)
		}
	}
	for origin := range sections {
		must(known[origin] != nil, "the ledger of the authority does not name `%s`", origin)
	}
	for origin, own := range known {
		isTail := own.verify(sections[origin], authority.uses)
		hasTail = hasTail || isTail
	}
	return hasTail
}

// verify reads the records of one log that are not deleted.
func (own *history) verify(sections []*section, uses map[string]string) (hasTail bool) {
	must(own.problem == "", "`%s` %s", own.origin, own.problem)
	own.checkDeleted()
	must(own.key.Name() == own.origin, "`%s` has the key of another log", own.origin)
	log := &ledger{key: own.key, texts: texts{kept: map[string]int64{}}}
	if own.pruned != nil {
		log.tree.carry(own.pruned)
		log.carried, log.head = log.tree.size, own.last
	}
	log.noted = -1
	inOrder(sections)
	claims := map[int64][]*section{}
	for _, each := range sections {
		if each.end == each.From+each.Leaves {
			claims[each.end] = append(claims[each.end], each)
		}
	}
	if log.carried == 0 {
		own.checkClaims(claims[0], log)
	}
	for _, each := range sections {
		for i, line := range bytes.Split(bytes.TrimSuffix(each.text, []byte("\n")), []byte("\n")) {
			seq := each.From + int64(i) + 1
			if len(each.text) == 0 || seq <= log.tree.size || seq > each.end {
				continue
			}
			checkLink(log.readRecord(seq, line), uses)
			own.checkClaims(claims[seq], log)
		}
	}
	for _, each := range sections {
		log.readNotes(each)
	}
	var anchors []checkpoint
	for _, text := range own.notes {
		anchors = append(anchors, opened(text, own.key))
	}
	anchored, signed := log.coverage(anchors)
	if own.kept.size > anchored && own.kept.size >= log.carried {
		must(log.tree.size >= own.kept.size, "`%s` ends at %d, the ledger of the authority says that %d records are kept", own.origin, log.tree.size, own.kept.size)
		must(log.tree.root(own.kept.size) == own.kept.root, "the first %d records of `%s` are not those that were kept", own.kept.size, own.origin)
		anchored = own.kept.size
	}
	covered := max(anchored, signed, log.carried)
	fmt.Printf("received  %s: %d records, the first %d deleted, covered up to %d\n", own.origin, log.tree.size, log.carried, covered)
	return covered < log.tree.size
}

// checkClaims compares what the heads of sections that end here say of the log up to their ends.
func (own *history) checkClaims(claims []*section, log *ledger) {
	for _, each := range claims {
		isOwn := each.Id == own.id && (each.VerifierKey == nil || *each.VerifierKey == own.keyText)
		must(isOwn, "a section of `%s` names another sidecar or key", own.origin)
		isTree := each.Tree == encoded(log.tree.bytes(log.tree.size)) && each.Last == encoded(log.head)
		must(isTree, "a section of `%s` up to record %d names another tree", own.origin, each.end)
	}
}

// readNotes opens the checkpoints in the head of a section. Those that were received twice, or with records that do not count, are skipped.
func (log *ledger) readNotes(each *section) {
	for _, text := range each.Checkpoints {
		lines := strings.SplitN(text, "\n", 3)
		var size int64
		if len(lines) > 1 {
			if number, err := strconv.ParseInt(lines[1], 10, 64); err == nil {
				if size = number; size <= log.noted || size > each.end {
					continue
				}
			}
		}
		head := opened(text, log.key)
		log.noted = size
		if head.size >= log.carried {
			log.checkpoints = append(log.checkpoints, head)
		}
	}
}

// checkLink compares a use that the authority settled with the record of it in the ledger of the authority.
func checkLink(parsed leaf, uses map[string]string) {
	id, isText := parsed.Record["decisionId"].(string)
	digest, isLink := parsed.Record["digest"].(string)
	if parsed.Record["kind"] != "settled" || !isText || !isLink {
		return
	}
	kept, isThere := uses[id]
	must(!isThere || kept == digest, "record %d is of use `%s`, of which the authority has another record", parsed.Seq, id)
}

// see keeps what an authority says of the logs of sidecars: their histories, and the digests of uses that these link to.
func (authority *ledger) see(parsed leaf) {
	switch parsed.Record["kind"] {
	case "emitter":
		var said emitter
		must(parsed.members(&said), "record %d is misspelled", parsed.Seq)
		authority.emitters = append(authority.emitters, said)
	case "use":
		if id, isText := parsed.Record["decisionId"].(string); isText {
			sent := map[string]any{}
			for name, value := range parsed.Record {
				switch name {
				case "by":
				case "limits":
					sent[name] = withoutLeft(value)
				default:
					sent[name] = value
				}
			}
			var canonical bytes.Buffer
			write(&canonical, sent)
			digest := sha256.Sum256(canonical.Bytes())
			authority.uses[id] = base64.RawURLEncoding.EncodeToString(digest[:])
		}
	}
}

// withoutLeft is the limits of a use as its sidecar sent them: the authority adds what they have left.
func withoutLeft(value any) any {
	limits, isList := value.([]any)
	if !isList {
		return value
	}
	sent := make([]any, len(limits))
	for at, limit := range limits {
		counter, isObject := limit.(map[string]any)
		if !isObject {
			sent[at] = limit
			continue
		}
		kept := map[string]any{}
		for name, value := range counter {
			if name != "left" {
				kept[name] = value
			}
		}
		sent[at] = kept
	}
	return sent
}

func encoded(value []byte) string { return base64.StdEncoding.EncodeToString(value) }

func decoded(text string) []byte {
	value, err := base64.StdEncoding.Strict().DecodeString(text)
	must(err == nil, "a record is not base64")
	return value
}
