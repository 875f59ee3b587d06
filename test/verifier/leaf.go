package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// leaf is what is hashed of a record: the record, its number, and the hash of the leaf before it.
type leaf struct {
	Boot   string
	Mono   float64
	Prev   string
	Record map[string]any
	Seq    int64
}

// leafIn parses a leaf, which must be canonical JSON: no member twice, and one spelling only.
func leafIn(stored []byte) leaf {
	var value map[string]any
	err := json.Unmarshal(stored, &value)
	must(err == nil && len(stored) <= 65535, "a record is not JSON of at most 65,535 bytes")
	var canonical bytes.Buffer
	write(&canonical, value)
	must(bytes.Equal(canonical.Bytes(), stored), "a record is not canonical JSON")
	var parsed leaf
	err = json.Unmarshal(stored, &parsed)
	must(err == nil && len(value) == 5 && len(parsed.Boot) == 32 && parsed.Record != nil, "a record is not a leaf")
	return parsed
}

// write is RFC 8785.
func write(out *bytes.Buffer, value any) {
	switch value := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(value))
		for name := range value {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		})
		for i, name := range names {
			out.WriteByte("{,"[min(i, 1)])
			quote(out, name)
			out.WriteByte(':')
			write(out, value[name])
		}
		out.WriteString("{}"[min(len(names), 1):])
	case []any:
		out.WriteByte('[')
		for i, each := range value {
			if i > 0 {
				out.WriteByte(',')
			}
			write(out, each)
		}
		out.WriteByte(']')
	case string:
		quote(out, value)
	default:
		// Go writes numbers as ECMAScript does.
		text, _ := json.Marshal(value)
		out.Write(text)
	}
}

func quote(out *bytes.Buffer, text string) {
	out.WriteByte('"')
	for _, char := range text {
		switch short := strings.IndexRune("\b\t\n\f\r", char); {
		case char == '"' || char == '\\':
			out.WriteByte('\\')
			out.WriteRune(char)
		case char >= ' ':
			out.WriteRune(char)
		case short >= 0:
			out.WriteString(`\` + "btnfr"[short:short+1])
		default:
			fmt.Fprintf(out, `\u%04x`, char)
		}
	}
	out.WriteByte('"')
}

// members reads the record of a leaf into a struct of those members that are needed of it.
func (l leaf) members(into any) bool {
	text, _ := json.Marshal(l.Record)
	return json.Unmarshal(text, into) == nil
}
