package snapshot

import (
	"bytes"
	"slices"
	"strings"
)

// blockToJSON converts YAML in the block style that kubectl and Write print, some
// twenty times faster than a whole YAML parser, which a dump of 50,000 pods
// needs. It knows block mappings and sequences, plain and quoted scalars, literal
// blocks and the two empty flow collections. ok is false for anything else or
// doubtful, malformed YAML included: the caller then asks the YAML library, whose
// reading this one must equal (FuzzBlockToJSON).
func blockToJSON(text []byte) (data []byte, ok bool) {
	p := &blockParser{out: make([]byte, 0, len(text))}
	if !p.split(text) || !p.node(p.lines[0].indent, 0) || p.at < len(p.lines) {
		return nil, false
	}
	return p.out, true
}

// maxBlockDepth is far deeper than any Kubernetes object nests.
const maxBlockDepth = 100

// blockParser walks the lines of a block and writes JSON.
type blockParser struct {
	lines []blockLine
	at    int
	out   []byte
}

// blockLine is a line without its indentation and end; text is empty for a blank line.
type blockLine struct {
	indent int
	text   []byte
}

// split cuts text into lines. Blank lines are kept for the literal blocks; every
// other place refuses them. Text that is not printable ASCII is refused.
func (p *blockParser) split(text []byte) bool {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return false // whether a literal block's last line has ended would matter
	}
	p.lines = make([]blockLine, 0, bytes.Count(text, []byte("\n"))+1)
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		for _, c := range line {
			if c < ' ' || c > '~' {
				return false
			}
		}
		visible := bytes.TrimLeft(line, " ")
		p.lines = append(p.lines, blockLine{len(line) - len(visible), visible})
	}
	return true
}

// node converts the mapping, the sequence or the scalar that begins at the
// current line, whose indentation is indent.
func (p *blockParser) node(indent, depth int) bool {
	text := p.lines[p.at].text
	switch {
	case depth > maxBlockDepth || len(text) == 0:
		return false
	case isEntry(text):
		return p.sequence(indent, depth)
	default:
		_, _, isKey := cutKey(text)
		return isKey && p.mapping(indent, depth)
	}
}

func (p *blockParser) sequence(indent, depth int) bool {
	p.out = append(p.out, '[')
	for first := true; p.more(indent) && isEntry(p.lines[p.at].text); first = false {
		if !first {
			p.out = append(p.out, ',')
		}
		if !p.entry(indent, depth) {
			return false
		}
	}
	p.out = append(p.out, ']')
	return p.ended(indent)
}

// entry converts what follows the "-" of the current line.
func (p *blockParser) entry(indent, depth int) bool {
	line := &p.lines[p.at]
	value := bytes.TrimLeft(line.text[1:], " ")
	if len(value) == 0 {
		p.at++
		return p.nested(indent+1, depth)
	}
	if _, _, isKey := cutKey(value); isKey || isEntry(value) {
		line.indent += len(line.text) - len(value)
		line.text = value
		return p.node(line.indent, depth+1)
	}
	return p.scalar(value, indent)
}

func (p *blockParser) mapping(indent, depth int) bool {
	p.out = append(p.out, '{')
	var keys keySet
	for p.more(indent) && !isEntry(p.lines[p.at].text) {
		key, value, ok := cutKey(p.lines[p.at].text)
		if !ok || !keys.add(key) {
			return false
		}
		if len(keys.keys) > 1 {
			p.out = append(p.out, ',')
		}
		p.string(key)
		p.out = append(p.out, ':')
		if len(value) > 0 {
			ok = p.scalar(value, indent)
		} else {
			p.at++
			ok = p.valueBelow(indent, depth)
		}
		if !ok {
			return false
		}
	}
	p.out = append(p.out, '}')
	return p.ended(indent)
}

// valueBelow converts the value of a key that ends its line: what is indented
// more, or a sequence that is not.
func (p *blockParser) valueBelow(indent, depth int) bool {
	if p.more(indent) && isEntry(p.lines[p.at].text) {
		return p.sequence(indent, depth+1)
	}
	return p.nested(indent+1, depth)
}

// nested converts the node indented by least or more, or null where none is.
func (p *blockParser) nested(least, depth int) bool {
	if p.at == len(p.lines) || len(p.lines[p.at].text) > 0 && p.lines[p.at].indent < least {
		p.out = append(p.out, "null"...)
		return true
	}
	return p.node(p.lines[p.at].indent, depth+1)
}

// more reports whether the current line is at indent.
func (p *blockParser) more(indent int) bool {
	return p.at < len(p.lines) && len(p.lines[p.at].text) > 0 && p.lines[p.at].indent == indent
}

// ended reports whether a collection at indent has ended as it must: before a
// line that is indented less, or a sequence in a mapping before its next key.
func (p *blockParser) ended(indent int) bool {
	return p.at == len(p.lines) || len(p.lines[p.at].text) > 0 && p.lines[p.at].indent <= indent
}

// keySet finds duplicate keys, which are for the library to judge.
type keySet struct {
	keys     [][]byte
	unsorted bool
}

// add reports whether key is new. Printers sort keys, so that one comparison is
// enough; a large mapping in another order is refused rather than searched.
func (s *keySet) add(key []byte) bool {
	const searched = 100
	if n := len(s.keys); n > 0 && bytes.Compare(s.keys[n-1], key) >= 0 {
		s.unsorted = true
	}
	if s.unsorted && (len(s.keys) > searched || slices.ContainsFunc(s.keys, func(k []byte) bool { return bytes.Equal(k, key) })) {
		return false
	}
	s.keys = append(s.keys, key)
	return true
}

// cutKey cuts "key: value" or "key:"; ok is false for a key that might not be a
// plain string.
func cutKey(text []byte) (key, value []byte, ok bool) {
	end := 0
	for end < len(text) && isKeyByte(text[end]) {
		end++
	}
	if end == len(text) || text[end] != ':' || !isLetter(text[0]) || isReserved(text[:end]) {
		return nil, nil, false
	}
	rest := text[end+1:]
	if len(rest) > 0 && rest[0] != ' ' {
		return nil, nil, false
	}
	return text[:end], bytes.TrimLeft(rest, " "), true
}

func isKeyByte(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '/'
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isReserved reports a word that YAML 1.1 takes for a boolean or for null.
func isReserved(word []byte) bool {
	switch strings.ToLower(string(word)) {
	case "y", "yes", "on", "true", "n", "no", "off", "false", "null":
		return true
	}
	return false
}

// scalar converts the value text of the current line, and of the lines below
// that go on with it: those indented more than indent.
func (p *blockParser) scalar(text []byte, indent int) bool {
	p.at++
	text = bytes.TrimRight(text, " ")
	switch text[0] {
	case '|':
		return p.literal(text, indent)
	case '\'':
		return p.singleQuoted(text, indent)
	case '"':
		return p.doubleQuoted(text) && !p.continues(indent)
	case '{', '[':
		p.out = append(p.out, text...)
		return (string(text) == "{}" || string(text) == "[]") && !p.continues(indent)
	}
	return p.plain(text, indent)
}

// continues reports whether the current line goes on with a scalar of indent.
func (p *blockParser) continues(indent int) bool {
	return p.at < len(p.lines) && (len(p.lines[p.at].text) == 0 || p.lines[p.at].indent > indent)
}

// fold joins text with the lines that go on with it by one space, as YAML folds
// them; ok is false where a blank line stands for a line break.
func (p *blockParser) fold(text []byte, indent int) (folded []byte, ok bool) {
	for ; p.continues(indent); p.at++ {
		next := bytes.TrimRight(p.lines[p.at].text, " ")
		if len(next) == 0 || next[0] == '#' {
			return nil, false
		}
		text = slices.Concat(text, []byte(" "), next)
	}
	return text, true
}

// plain converts an unquoted scalar.
func (p *blockParser) plain(text []byte, indent int) bool {
	text, ok := p.fold(text, indent)
	switch {
	case !ok, bytes.Contains(text, []byte(": ")), bytes.Contains(text, []byte(" #")), text[len(text)-1] == ':':
		return false
	case beginsString(text):
		switch string(text) {
		case "true", "false", "null":
			p.out = append(p.out, text...)
			return true
		}
		p.string(text)
		return !isReserved(text)
	case isInteger(text):
		p.out = append(p.out, text...)
		return true
	}
	p.string(text)
	return isDigit(text[0]) && isNoNumber(text)
}

// beginsString reports text that is a string unless it is a reserved word.
func beginsString(text []byte) bool {
	return isLetter(text[0]) || strings.IndexByte("/_$(", text[0]) >= 0 ||
		len(text) > 2 && string(text[:2]) == "--" && isLetter(text[2])
}

// isInteger reports a decimal integer of at most 18 digits without leading zeros.
func isInteger(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(text) > 1 {
		return false
	}
	return !slices.ContainsFunc(digits, func(c byte) bool { return !isDigit(c) })
}

// isNoNumber reports text that begins with a digit and is surely a string: it has
// a letter that no number, date or time has there ("500m", "7d9f8"), or is an IPv4
// address or a UUID.
func isNoNumber(text []byte) bool {
	if based := text[0] == '0' && len(text) > 1 && strings.IndexByte("xXbBoO", text[1]) >= 0; based {
		return isUUID(text)
	}
	const letters = "abcdfghijklmnopqrsuvwxyABCDFGHIJKLMNOPQRSUVWXY" // neither e nor t nor z
	return bytes.ContainsAny(text, letters) || isUUID(text) ||
		bytes.Count(text, []byte(".")) == 3 && !slices.ContainsFunc(text, func(c byte) bool { return !isDigit(c) && c != '.' })
}

func isUUID(text []byte) bool {
	const length = 36
	return len(text) == length && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-'
}

// singleQuoted converts 'text', in which a doubled quote stands for one quote.
func (p *blockParser) singleQuoted(text []byte, indent int) bool {
	text, ok := p.fold(text, indent)
	if !ok || len(text) < 2 || text[len(text)-1] != '\'' {
		return false
	}
	inner := text[1 : len(text)-1]
	unquoted := bytes.ReplaceAll(inner, []byte("''"), []byte("'"))
	if 2*(len(inner)-len(unquoted)) != bytes.Count(inner, []byte("'")) {
		return false
	}
	p.string(unquoted)
	return true
}

// doubleQuoted converts "text" on one line, whose escapes are JSON's.
func (p *blockParser) doubleQuoted(text []byte) bool {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			p.out = append(p.out, text...)
			return i == len(text)-1
		case '\\':
			if i++; i == len(text) || strings.IndexByte(`"\nrtbf`, text[i]) < 0 {
				return false
			}
		}
	}
	return false
}

// literal converts a literal block: "|" keeps the last line's break, "|-" does not.
func (p *blockParser) literal(header []byte, indent int) bool {
	begin := p.at
	for p.continues(indent) {
		p.at++
	}
	lines := p.lines[begin:p.at]
	if len(lines) == 0 || len(lines[0].text) == 0 {
		return false
	}
	var text []byte
	for _, line := range lines {
		more := line.indent - lines[0].indent
		if blank := len(line.text) == 0; blank && more >= 0 || !blank && more < 0 {
			return false
		}
		text = append(text, bytes.Repeat([]byte(" "), max(0, more))...)
		text = append(append(text, line.text...), '\n')
	}
	text = append(bytes.TrimRight(text, "\n"), '\n')
	switch string(header) {
	case "|":
	case "|-":
		text = text[:len(text)-1]
	default:
		return false
	}
	p.string(text)
	return true
}

// string writes text, which is printable ASCII and line breaks, as a JSON string.
func (p *blockParser) string(text []byte) {
	p.out = append(p.out, '"')
	for _, c := range text {
		switch c {
		case '"', '\\':
			p.out = append(p.out, '\\', c)
		case '\n':
			p.out = append(p.out, '\\', 'n')
		default:
			p.out = append(p.out, c)
		}
	}
	p.out = append(p.out, '"')
}
