package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// readYAML reads one YAML document. A list in block style, as kubectl prints it,
// is cut at the markers of its items and each item is parsed alone, so that a
// dump is never in memory as a whole. What is left of the document, its kind
// mostly, is parsed at the end; a document in any other style is left whole.
func (r *reader) readYAML(src *source) error {
	doc := &yamlDocument{src: src}
	var frame []byte
	var l *list
	for {
		line, err := doc.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !isItemsKey(line) || l != nil {
			frame = append(frame, line...)
			continue
		}
		key := bytes.Clone(line)
		if l, err = r.readYAMLItems(doc, frame); err != nil {
			return err
		}
		if l == nil {
			frame = append(frame, key...)
		}
	}
	return r.endYAML(frame, l)
}

// endYAML reads what readYAMLItems has left of a document.
func (r *reader) endYAML(frame []byte, l *list) error {
	data, err := toJSON(frame)
	if err != nil {
		return yamlError(err)
	}
	if l != nil {
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(data, &fields); err != nil {
			return explain(err)
		}
		return r.endValue(fields, l)
	}
	if string(data) == "null" {
		return nil
	}
	return r.readValue(json.NewDecoder(bytes.NewReader(data)))
}

// readYAMLItems reads the block sequence after "items:"; head is the document
// before it. It returns nil, and has read blank lines only, when the document is
// no list or the items are written in another style.
func (r *reader) readYAMLItems(doc *yamlDocument, head []byte) (*list, error) {
	l := listOf(head)
	if l == nil {
		return nil, nil
	}
	var chunk []byte
	indent := -1
	for {
		line, err := doc.next()
		if err != nil {
			if err == io.EOF && indent >= 0 {
				err = r.addYAMLItem(l, chunk)
				return l, err
			}
			if err == io.EOF {
				return nil, nil
			}
			return nil, err
		}
		width, visible := indentation(line)
		switch {
		case !visible:
		case indent < 0 && isEntry(line[width:]):
			indent = width
			line[width] = ' '
		case indent < 0:
			doc.unread(line)
			return nil, nil
		case width == indent && isEntry(line[width:]):
			if err := r.addYAMLItem(l, chunk); err != nil {
				return nil, err
			}
			chunk = chunk[:0]
			line[width] = ' '
		case width <= indent:
			doc.unread(line)
			return l, r.addYAMLItem(l, chunk)
		}
		if indent >= 0 {
			chunk = append(chunk, line...)
		}
	}
}

// addYAMLItem reads one item, whose marker is blanked out.
func (r *reader) addYAMLItem(l *list, chunk []byte) error {
	data, err := toJSON(chunk)
	if err != nil {
		return l.next(nil).errorf("%w", yamlError(err))
	}
	return r.addItem(l, data)
}

// toJSON converts a document or an item.
func toJSON(text []byte) ([]byte, error) {
	if data, ok := blockToJSON(text); ok {
		return data, nil
	}
	return yaml.YAMLToJSON(text)
}

// listOf is an empty list of the type that head names, or of a type yet to come;
// nil when head is of a single object.
func listOf(head []byte) *list {
	var meta metav1.TypeMeta
	if yaml.Unmarshal(head, &meta) != nil || meta.Kind != "" && !strings.HasSuffix(meta.Kind, "List") {
		return nil
	}
	return &list{apiVersion: meta.APIVersion, kind: meta.Kind}
}

// isItemsKey reports the line "items:" of a mapping at the document's top.
func isItemsKey(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("items:"))
	rest = bytes.TrimSpace(rest)
	return ok && (len(rest) == 0 || rest[0] == '#')
}

// isEntry reports text that begins an entry of a block sequence.
func isEntry(text []byte) bool {
	return text[0] == '-' && (len(text) == 1 || isSpace(text[1]))
}

// indentation is the number of spaces before a line's text; visible is false for
// a blank line and for a comment.
func indentation(line []byte) (width int, visible bool) {
	text := bytes.TrimLeft(line, " ")
	blank := len(bytes.TrimSpace(text)) == 0 || text[0] == '#'
	return len(line) - len(text), !blank
}

// yamlError leaves out of a parser's error what names the parser.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	return errors.New("invalid YAML: " + strings.TrimPrefix(text, "yaml: "))
}

// yamlDocument gives the lines of one document.
type yamlDocument struct {
	src    *source
	peeked []byte
}

// next returns the next line with its end, valid until the next call; io.EOF at
// the end of the document, whose marker stays in the source.
func (d *yamlDocument) next() ([]byte, error) {
	if line := d.peeked; line != nil {
		d.peeked = nil
		return line, nil
	}
	ahead, err := d.src.Peek(4)
	if len(ahead) == 0 {
		return nil, err
	}
	if isSeparator(ahead) || isDocumentEnd(ahead) {
		return nil, io.EOF
	}
	line, err := d.src.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		begin := bytes.Clone(line)
		line, err = d.src.ReadBytes('\n')
		line = append(begin, line...)
	}
	if err == io.EOF {
		err = nil // the last line has no end; the next call finds the input's end
	}
	return line, err
}

// unread makes next return line again.
func (d *yamlDocument) unread(line []byte) { d.peeked = line }
