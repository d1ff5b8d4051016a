package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readJSON reads one JSON value after the other until the input ends or goes on
// as something else, which is given back. Every value is a document; documents
// counts them from the second on. The items of a list are decoded one at a time,
// so that a dump is never in memory as a whole.
func (r *reader) readJSON(src *source, documents *int) error {
	dec := json.NewDecoder(src)
	for {
		if err := r.readValue(dec); err != nil {
			return jsonError(err, dec)
		}
		next, err := nextVisible(dec, src)
		if err != nil {
			return err
		}
		if next != '{' && next != '[' {
			rest, err := io.ReadAll(dec.Buffered())
			src.giveBack(rest)
			return err
		}
		*documents++
	}
}

// nextVisible returns the first byte after the decoder's value that is no white
// space, without taking it; 0 at the end of the input.
func nextVisible(dec *json.Decoder, src *source) (byte, error) {
	buffered := bufio.NewReader(dec.Buffered())
	for {
		c, err := buffered.ReadByte()
		if err != nil {
			break
		}
		if !isSpace(c) {
			return c, nil
		}
	}
	for {
		ahead, err := src.Peek(1)
		switch {
		case errors.Is(err, io.EOF):
			return 0, nil
		case err != nil:
			return 0, err
		case !isSpace(ahead[0]):
			return ahead[0], nil
		}
		if _, err := src.Discard(1); err != nil {
			return 0, err
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// jsonError gives a decoder's error the place where it stopped.
func jsonError(err error, dec *json.Decoder) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case errors.As(err, &syntax):
		return fmt.Errorf("invalid JSON near byte %d: %w", dec.InputOffset(), syntax)
	}
	return err
}

// readValue reads a list or an object, or an array of objects as jq makes them.
func (r *reader) readValue(dec *json.Decoder) error {
	begin, err := dec.Token()
	if err != nil {
		return err
	}
	switch begin {
	case json.Delim('{'):
	case json.Delim('['):
		return r.readItems(dec, &list{apiVersion: "v1", kind: "List"})
	default:
		return errors.New("no object: " + dumpHint)
	}
	fields := map[string]json.RawMessage{}
	var l *list
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "items" && !isSingle(fields) {
			l, err = r.readList(dec, fields)
		} else {
			var value json.RawMessage
			err = dec.Decode(&value)
			fields[key.(string)] = value
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	return r.endValue(fields, l)
}

// isSingle says whether the fields seen so far are those of an object that is no list.
func isSingle(fields map[string]json.RawMessage) bool {
	kind := stringField(fields, "kind")
	return kind != "" && !strings.HasSuffix(kind, "List")
}

// endValue reads what only the end of a value decides: the kind of a list, or a
// single object.
func (r *reader) endValue(fields map[string]json.RawMessage, l *list) error {
	apiVersion, kind := stringField(fields, "apiVersion"), stringField(fields, "kind")
	if l != nil {
		l.apiVersion, l.kind = apiVersion, kind
		return r.endList(l)
	}
	if strings.HasSuffix(kind, "List") {
		return nil // a list without items
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return r.addObject(item{data: data}, apiVersion, kind)
}

// readList reads the value of "items".
func (r *reader) readList(dec *json.Decoder, fields map[string]json.RawMessage) (*list, error) {
	l := &list{apiVersion: stringField(fields, "apiVersion"), kind: stringField(fields, "kind")}
	switch begin, err := dec.Token(); {
	case err != nil:
		return nil, err
	case begin == nil: // "items": null, as Go prints an empty list
		return l, nil
	case begin != json.Delim('['):
		return nil, errors.New("items: expected a list")
	}
	return l, r.readItems(dec, l)
}

// readItems reads the elements of an array and its end.
func (r *reader) readItems(dec *json.Decoder, l *list) error {
	for dec.More() {
		var data json.RawMessage
		if err := dec.Decode(&data); err != nil {
			return err
		}
		if err := r.addItem(l, data); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// stringField is a top-level string; empty when missing or of another type.
func stringField(fields map[string]json.RawMessage, name string) string {
	var value string
	if json.Unmarshal(fields[name], &value) != nil {
		return ""
	}
	return value
}

// typeMeta reads apiVersion and kind, and no further than it must: printers put
// them first.
func typeMeta(data []byte) (apiVersion, kind string, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return "", "", errors.New("expected an object")
	}
	for dec.More() && (apiVersion == "" || kind == "") {
		key, err := dec.Token()
		if err != nil {
			return "", "", err
		}
		switch key {
		case "apiVersion":
			err = dec.Decode(&apiVersion)
		case "kind":
			err = dec.Decode(&kind)
		default:
			var skipped json.RawMessage
			err = dec.Decode(&skipped)
		}
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", key, explain(err))
		}
	}
	return apiVersion, kind, nil
}
