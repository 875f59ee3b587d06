package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// cosigner verifies cosignatures of Ed25519 (C2SP tlog-cosignature), which the note package does not know.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(text string) (note.Verifier, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("a key is name+id+base64")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, errors.New("this is not the key of a witness")
	}
	digest := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if fmt.Sprintf("%x", digest[:4]) != parts[1] {
		return nil, errors.New("the id does not belong to the key")
	}
	return &cosigner{parts[0], binary.BigEndian.Uint32(digest[:4]), key[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

// Verify is given the text of the checkpoint; what is signed has two lines before it.
func (c *cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(c.key, []byte(signed), signature[8:])
}

// witnessedIn gives the checkpoints that a witness has cosigned, and how many records every witness has. The file need not be trusted.
func witnessedIn(file string, key note.Verifier, witnesses []note.Verifier) (cosigned []checkpoint, size int64) {
	if len(witnesses) == 0 {
		return nil, 0
	}
	// Two witnesses may have one name.
	type id struct {
		name string
		hash uint32
	}
	reach := map[id]int64{}
	for _, text := range notesIn(file) {
		if !strings.HasPrefix(text, key.Name()+"\n") {
			continue
		}
		signed, err := note.Open([]byte(text), note.VerifierList(witnesses...))
		var none *note.UnverifiedNoteError
		if errors.As(err, &none) {
			continue
		}
		must(err == nil, "a cosigned checkpoint: %v", err)
		head := opened(text, key)
		cosigned = append(cosigned, head)
		for _, by := range signed.Sigs {
			of := id{by.Name, by.Hash}
			reach[of] = max(reach[of], head.size)
		}
	}
	size = math.MaxInt64
	for _, witness := range witnesses {
		size = min(size, reach[id{witness.Name(), witness.KeyHash()}])
	}
	return cosigned, size
}
