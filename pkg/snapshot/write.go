package snapshot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
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
	for _, k := range s.kinds() {
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
	err := s.each(func(data []byte) error {
		if begin == noItems {
			begin = ""
			w.WriteByte('\n')
		}
		text, err := yaml.JSONToYAML(escapeControls(data))
		if err != nil {
			return err
		}
		w.WriteString("- ")
		_, err = w.Write(bytes.ReplaceAll(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"), []byte("\n  ")))
		w.WriteByte('\n')
		return err
	})
	w.WriteString(begin)
	w.WriteString("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
	return err
}

// escapeControls escapes what JSON allows as it stands and YAML does not: DEL, the
// C1 controls and the byte order mark. They can only be inside strings.
func escapeControls(data []byte) []byte {
	special := func(r rune) bool { return r >= 0x7f && r <= 0x9f || r == 0xfeff }
	if !bytes.ContainsFunc(data, special) {
		return data
	}
	var escaped []byte
	for _, r := range string(data) {
		if special(r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		} else {
			escaped = utf8.AppendRune(escaped, r)
		}
	}
	return escaped
}
