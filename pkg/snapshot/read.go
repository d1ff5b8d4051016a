package snapshot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime/schema"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

const dumpHint = `expected Kubernetes objects in YAML or JSON, as "kubectl get ... -A -o yaml" prints them`

// ReadPath reads a dump from where a --snapshot flag points: "-" is stdin, a
// folder is read whole (see ReadFile), anything else is a file. Objects of further
// kinds are read beside those of the table: all of them, or those with the kind's Label.
func ReadPath(path string, stdin io.Reader, further ...Kind) (*Snapshot, error) {
	if path == "-" {
		return Read("stdin", stdin, further...)
	}
	return ReadFile(path, further...)
}

// ReadFile reads the dump in a file, or in every .yaml, .yml, .json and .gz file
// under a folder, in the order of their paths.
func ReadFile(path string, further ...Kind) (*Snapshot, error) {
	files, err := dumpFiles(path)
	if err != nil {
		return nil, err
	}
	r := newReader(path, further)
	for _, file := range files {
		if err := r.readFile(file); err != nil {
			return nil, err
		}
	}
	return r.finish(), nil
}

// Read reads the dump in rd: a v1.List or typed lists, single objects, several
// documents, YAML or JSON, plain or gzipped. name is used in errors.
func Read(name string, rd io.Reader, further ...Kind) (*Snapshot, error) {
	r := newReader(name, further)
	if err := r.read(name, rd); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

// dumpFiles is path itself, or the dumps under it when it is a folder.
func dumpFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json", ".gz"}, filepath.Ext(file)) {
			files = append(files, file)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no .yaml, .yml, .json or .gz file in this folder", path)
	}
	return files, err
}

// reader gathers a Snapshot from documents.
type reader struct {
	snap  *Snapshot
	kinds map[schema.GroupKind]Kind
}

func newReader(source string, further []Kind) *reader {
	r := &reader{snap: &Snapshot{Source: source}, kinds: kindsByGroupKind()}
	for _, k := range further {
		if _, known := r.kinds[k.GroupKind()]; !known && k.Label == "" { // labelled ones are read as it is
			r.kinds[k.GroupKind()] = k
		}
	}
	return r
}

func (r *reader) finish() *Snapshot {
	r.snap.Sort()
	return r.snap
}

func (r *reader) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.read(path, f)
}

// read reads all documents of one file. Its errors begin with name.
func (r *reader) read(name string, rd io.Reader) error {
	src, err := newSource(rd)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	documents := 0
	for {
		begin, err := src.nextDocument()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			documents++
			err = r.readDocument(src, begin, &documents)
		}
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", name, max(documents, 1), explainInput(err))
		}
	}
	if documents == 0 {
		return fmt.Errorf("%s: empty: %s", name, dumpHint)
	}
	return nil
}

// readDocument reads the document that begins with the byte begin.
func (r *reader) readDocument(src *source, begin byte, documents *int) error {
	if begin == '{' || begin == '[' {
		return r.readJSON(src, documents)
	}
	if err := checkText(src); err != nil {
		return err
	}
	return r.readYAML(src)
}

// explainInput names what a reader of bytes can only hint at.
func explainInput(err error) error {
	switch {
	case errors.Is(err, gzip.ErrChecksum):
		return errors.New("damaged: the gzip checksum does not match")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("truncated: the file ends in the middle of an object")
	}
	return err
}

// source is a buffered dump that can be looked into and given back to.
type source struct {
	*bufio.Reader
	rest *unreader
}

// newSource wraps rd, unpacking it when it begins like a gzip file.
func newSource(rd io.Reader) (*source, error) {
	const bufferSize = 1 << 16
	buffered := bufio.NewReaderSize(rd, bufferSize)
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, explainInput(err)
		}
		rd = unpacked
	} else {
		rd = buffered
	}
	rest := &unreader{Reader: rd}
	src := &source{Reader: bufio.NewReaderSize(rest, bufferSize), rest: rest}
	if bom, _ := src.Peek(3); bytes.Equal(bom, []byte{0xef, 0xbb, 0xbf}) {
		src.Discard(3)
	}
	return src, nil
}

// giveBack puts bytes before all that is unread.
func (s *source) giveBack(data []byte) {
	buffered, _ := s.Peek(s.Buffered())
	s.rest.pending = slices.Concat(data, buffered, s.rest.pending)
	s.Reset(s.rest)
}

// unreader is a reader with bytes in front of it.
type unreader struct {
	io.Reader
	pending []byte
}

func (u *unreader) Read(p []byte) (int, error) {
	if len(u.pending) > 0 {
		n := copy(p, u.pending)
		u.pending = u.pending[n:]
		return n, nil
	}
	return u.Reader.Read(p)
}

// nextDocument skips blank lines, comments, directives and separators and
// returns the document's first visible byte, unread; io.EOF when there is none.
func (s *source) nextDocument() (byte, error) {
	for {
		indent, begin, err := s.peekVisible()
		if err != nil {
			return 0, err
		}
		line, _ := s.Peek(4)
		switch {
		case begin == '\n', begin == '#', begin == '%' && indent == 0, isDocumentEnd(line):
			err = s.skipLine()
		case isSeparator(line):
			_, err = s.Discard(3)
		case begin == '{', begin == '[':
			_, err = s.Discard(indent)
			return begin, err
		default:
			return begin, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// peekVisible returns the first byte that is no blank (a line's end is none) and
// the number of blanks before it.
func (s *source) peekVisible() (indent int, begin byte, err error) {
	for {
		ahead, err := s.Peek(indent + 1)
		if errors.Is(err, bufio.ErrBufferFull) {
			_, err = s.Discard(indent)
			indent = 0
		}
		if err != nil {
			return 0, 0, err
		}
		if len(ahead) <= indent {
			continue
		}
		if c := ahead[indent]; c != ' ' && c != '\t' && c != '\r' {
			return indent, c, nil
		}
		indent++
	}
}

func (s *source) skipLine() error {
	for {
		_, err := s.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// isSeparator reports a line that begins a document ("---").
func isSeparator(line []byte) bool { return isMarker(line, "---") }

// isDocumentEnd reports a line that ends a document ("...").
func isDocumentEnd(line []byte) bool { return isMarker(line, "...") }

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// checkText refuses what is plainly no dump.
func checkText(src *source) error {
	ahead, _ := src.Peek(512)
	switch {
	case ahead[0] == '<':
		return errors.New("looks like HTML or XML: " + dumpHint)
	case bytes.IndexByte(ahead, 0) >= 0, !utf8.Valid(wholeRunes(ahead)):
		return errors.New("not text: " + dumpHint)
	}
	return nil
}

// wholeRunes cuts off a rune that the end of b may have split.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// item is one object of a document, still in JSON.
type item struct {
	// path is where the document has it ("items[3]"); empty for the document itself.
	path string
	data []byte
}

// list is the items of a document whose kind may be known only at its end.
type list struct {
	apiVersion, kind string
	// pending are the items that do not name their kind.
	pending []item
	count   int
}

// next counts an item.
func (l *list) next(data []byte) item {
	l.count++
	return item{path: fmt.Sprintf("items[%d]", l.count-1), data: data}
}

// addItem reads the next item, or keeps it until the list's kind is known.
func (r *reader) addItem(l *list, data []byte) error {
	it := l.next(data)
	apiVersion, kind, err := typeMeta(data)
	switch {
	case err != nil:
		return it.errorf("%w", err)
	case kind != "":
		return r.addObject(it, apiVersion, kind)
	case l.kind == "":
		l.pending = append(l.pending, it)
		return nil
	}
	apiVersion, kind = l.itemType()
	return r.addObject(it, apiVersion, kind)
}

// endList reads the items that waited for the list's kind.
func (r *reader) endList(l *list) error {
	if l.kind == "" {
		return fmt.Errorf("truncated: the list ends after %d items without naming its kind", l.count)
	}
	apiVersion, kind := l.itemType()
	for _, it := range l.pending {
		if err := r.addObject(it, apiVersion, kind); err != nil {
			return err
		}
	}
	return nil
}

// itemType is the type of a typed list's items ("PodList": "Pod").
func (l *list) itemType() (apiVersion, kind string) {
	return l.apiVersion, strings.TrimSuffix(l.kind, "List")
}

// addObject decodes one object of a known kind and counts one of another kind.
func (r *reader) addObject(it item, apiVersion, kind string) error {
	switch {
	case kind == "":
		return it.errorf("kind: required, every object of a dump names its kind")
	case apiVersion == infoAPIVersion && kind == infoKind:
		return r.addInfo(it)
	}
	k, ok := kindOf(r.kinds, apiVersion, kind)
	if !ok {
		return r.addUnknown(it, schema.FromAPIVersionAndKind(apiVersion, kind))
	}
	o, err := decode(k, it.data)
	if err != nil {
		return it.errorf("%w", err)
	}
	k.Add(r.snap, o)
	return nil
}

// addUnknown reads an object of another kind when it is tied to a business group,
// and otherwise counts it.
func (r *reader) addUnknown(it item, gvk schema.GroupVersionKind) error {
	var object struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	_, known := r.kinds[gvk.GroupKind()]
	if known || gvk.Version == "" || json.Unmarshal(it.data, &object) != nil || object.Metadata.Labels[stowagev1alpha1.GroupLabel] == "" {
		r.ignore(gvk)
		return nil
	}
	k := Labelled(gvk, "")
	o, err := decode(k, it.data)
	if err != nil {
		return it.errorf("%w", err)
	}
	k.Add(r.snap, o)
	return nil
}

// errorf is an error at the item.
func (it item) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if it.path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", it.path, err)
}

// ignore counts an object as "Kind.group", with the version where Stowage reads
// that kind in others.
func (r *reader) ignore(gvk schema.GroupVersionKind) {
	name := gvk.GroupKind().String()
	if _, ok := r.kinds[gvk.GroupKind()]; ok {
		name += "/" + gvk.Version
	}
	r.countIgnored(name, 1)
}
