package snapshot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Format is how Write writes.
type Format struct {
	// JSON writes JSON, one object a line; otherwise YAML is written.
	JSON bool
	// Gzip packs the output.
	Gzip bool
}

// Write writes s as a v1.List that Read reads back to the same value, and that
// kubectl reads too. Equal snapshots give equal bytes.
func Write(w io.Writer, s *Snapshot, f Format) error {
	if !f.Gzip {
		return write(w, s, f)
	}
	packed := gzip.NewWriter(w)
	if err := write(packed, s, f); err != nil {
		return err
	}
	return packed.Close()
}

func write(w io.Writer, s *Snapshot, f Format) error {
	buffered := bufio.NewWriter(w)
	var err error
	if f.JSON {
		err = writeJSON(buffered, s)
	} else {
		err = writeYAML(buffered, s)
	}
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// each calls visit with the JSON of every object that Write writes, in order.
func (s *Snapshot) each(visit func(data []byte) error) error {
	if in, ok := s.info(); ok {
		if err := marshal(in, visit); err != nil {
			return err
		}
	}
	for _, k := range Kinds() {
		for _, o := range k.Objects(s) {
			if err := marshal(k.withType(o), visit); err != nil {
				return fmt.Errorf("%s %s/%s: %w", k.Kind, o.GetNamespace(), o.GetName(), err)
			}
		}
	}
	return nil
}

func marshal(v any, visit func(data []byte) error) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return visit(data)
}

func writeJSON(w *bufio.Writer, s *Snapshot) error {
	w.WriteString(`{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":""},"items":[`)
	separator := "\n"
	err := s.each(func(data []byte) error {
		w.WriteString(separator)
		separator = ",\n"
		_, err := w.Write(data)
		return err
	})
	w.WriteString("\n]}\n")
	return err
}

// writeYAML writes the layout of `kubectl get -o yaml`.
func writeYAML(w *bufio.Writer, s *Snapshot) error {
	const noItems = " []\n"
	w.WriteString("apiVersion: v1\nitems:")
	begin := noItems
	var text []byte
	err := s.each(func(data []byte) error {
		if begin == noItems {
			begin = ""
			w.WriteByte('\n')
		}
		var value any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&value); err != nil {
			return err
		}
		text = appendYAML(append(text[:0], "- "...), value, 1)
		_, err := w.Write(text)
		return err
	})
	w.WriteString(begin)
	w.WriteString("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
	return err
}

// appendYAML appends a JSON value in block style, from the current column on, with
// the lines after the first indented by 2*depth. The YAML library takes
// eight times as long (measured on pods), which 50,000 pods would feel.
func appendYAML(out []byte, value any, depth int) []byte {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			return append(out, "{}\n"...)
		}
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = appendIndent(out, depth)
			}
			out = append(appendString(out, key), ':')
			out = appendBelow(out, v[key], depth)
		}
		return out
	case []any:
		if len(v) == 0 {
			return append(out, "[]\n"...)
		}
		for i, element := range v {
			if i > 0 {
				out = appendIndent(out, depth)
			}
			out = appendYAML(append(out, "- "...), element, depth+1)
		}
		return out
	case string:
		out = appendString(out, v)
	default:
		out = fmt.Append(out, scalarText(v))
	}
	return append(out, '\n')
}

// appendBelow appends the value of a key: a collection begins on a line of its
// own, a sequence as far left as its key.
func appendBelow(out []byte, value any, depth int) []byte {
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			return appendYAML(appendIndent(append(out, '\n'), depth+1), v, depth+1)
		}
	case []any:
		if len(v) > 0 {
			return appendYAML(appendIndent(append(out, '\n'), depth), v, depth)
		}
	}
	return appendYAML(append(out, ' '), value, depth)
}

func appendIndent(out []byte, depth int) []byte {
	for range depth {
		out = append(out, "  "...)
	}
	return out
}

// scalarText is a number, a boolean or null.
func scalarText(value any) any {
	if value == nil {
		return "null"
	}
	return value
}

// appendString appends text unquoted where that is surely a string, or else with
// Go's quotes and escapes, all of which YAML knows.
func appendString(out []byte, text string) []byte {
	if isPlain(text) {
		return append(out, text...)
	}
	return strconv.AppendQuote(out, text)
}

// isPlain reports text that is a string in YAML without quotes.
func isPlain(text string) bool {
	if text == "" || !isLetter(text[0]) || isReserved(text) {
		return false
	}
	for i := range len(text) {
		if !isKeyByte(text[i]) {
			return false
		}
	}
	return true
}

func isKeyByte(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || strings.IndexByte("_-./", c) >= 0
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isReserved reports a word that YAML 1.1 takes for a boolean or for null.
func isReserved(word string) bool {
	switch strings.ToLower(word) {
	case "y", "yes", "on", "true", "n", "no", "off", "false", "null":
		return true
	}
	return false
}
