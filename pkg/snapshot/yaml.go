package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// readYAML reads one YAML document.
func (r *reader) readYAML(src *source) error {
	text, err := src.documentText()
	if err != nil {
		return err
	}
	data, err := toJSON(text)
	if err != nil {
		return syntaxError(text, err)
	}
	if string(data) == "null" {
		return nil
	}
	return r.readValue(json.NewDecoder(bytes.NewReader(data)))
}

// documentText returns the rest of the current document. The marker that ends
// the document stays in the source.
func (s *source) documentText() ([]byte, error) {
	var text []byte
	for {
		ahead, err := s.Peek(4)
		if errors.Is(err, io.EOF) && len(ahead) == 0 || isSeparator(ahead) || isDocumentEnd(ahead) {
			return text, nil
		}
		err = bufio.ErrBufferFull
		for errors.Is(err, bufio.ErrBufferFull) {
			var line []byte
			line, err = s.ReadSlice('\n')
			text = append(text, line...)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
}

// toJSON converts a document.
func toJSON(text []byte) ([]byte, error) {
	if data, ok := listToJSON(text); ok {
		return data, nil
	}
	return yaml.YAMLToJSON(text)
}

// What kubectl and Write print around the items of a v1.List, and what the YAML
// library makes of it.
const (
	listHead      = "apiVersion: v1\nitems:\n- "
	listSeparator = "\n- "
	listTail      = "\nkind: List\nmetadata:\n  resourceVersion: \"\"\n"

	listHeadJSON = `{"apiVersion":"v1","items":[`
	listTailJSON = `],"kind":"List","metadata":{"resourceVersion":""}}`
)

// listToJSON converts a v1.List in the layout of kubectl item by item, to the bytes
// that yaml.YAMLToJSON makes of the whole, in a fraction of its memory: some thirty
// times the text it is given. ok is false for any other layout, and where an item
// does not stand alone: it is malformed, or an alias refers to an earlier item.
//
// A cut in the middle of an item cannot go unnoticed. Block style ends before a line
// that is not indented; quotes and brackets may go on there, but then the text up
// to the cut does not close them, which is an error. Line breaks other than \n are
// left to the library.
func listToJSON(text []byte) (data []byte, ok bool) {
	items, isHead := bytes.CutPrefix(text, []byte(listHead))
	items, isTail := bytes.CutSuffix(items, []byte(listTail))
	if !isHead || !isTail || bytes.ContainsAny(items, "\r\u0085\u2028\u2029") {
		return nil, false
	}
	data = append(make([]byte, 0, len(text)), listHeadJSON...)
	for item := range bytes.SplitSeq(items, []byte(listSeparator)) {
		sequence, err := itemToJSON(item)
		if err != nil {
			return nil, false
		}
		data = append(data, sequence[1:len(sequence)-1]...) // without its brackets
		data = append(data, ',')
	}
	return append(data[:len(data)-1], listTailJSON...), true
}

// itemToJSON converts what stands between two markers to a sequence of one.
func itemToJSON(item []byte) ([]byte, error) {
	return yaml.YAMLToJSON(slices.Concat([]byte("- "), item, []byte("\n")))
}

var (
	beforeItems = regexp.MustCompile(`(?m)^items:\n- `)
	afterItems  = regexp.MustCompile(`\n[^\s#-]`)
)

// syntaxError explains err, the library's of text. In a list it names the first
// item that does not parse alone, where there is one.
func syntaxError(text []byte, err error) error {
	begin := beforeItems.FindIndex(text)
	if begin == nil {
		return yamlError(err)
	}
	items := bytes.TrimSuffix(text[begin[1]:], []byte("\n"))
	if end := afterItems.FindIndex(items); end != nil {
		items = items[:end[0]]
	}
	var l list
	for item := range bytes.SplitSeq(items, []byte(listSeparator)) {
		at := l.next(nil)
		if _, err := itemToJSON(item); err != nil {
			return at.errorf("%w", yamlError(err))
		}
	}
	return yamlError(err)
}

// yamlError leaves out of a parser's error what names the parser.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	return errors.New("invalid YAML: " + strings.TrimPrefix(text, "yaml: "))
}
