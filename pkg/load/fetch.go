package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// fieldSelector leaves on the server what a snapshot of k would drop.
func fieldSelector(k snapshot.Kind) string {
	switch k.Resource {
	case "pods":
		return "status.phase!=Succeeded,status.phase!=Failed"
	case "configmaps":
		return fields.OneTermEqualSelector("metadata.name", snapshot.AutoscalerStatusName).String()
	case "events":
		// A selector cannot say "one of": leave out the usual reasons, which are
		// most events, and let Reduce drop the others.
		usual := []string{
			"Scheduled", "Pulling", "Pulled", "Created", "Started", "Killing", "SuccessfulCreate", "SuccessfulDelete",
			"ScalingReplicaSet", "BackOff", "Unhealthy", "Completed", "SawCompletedJob", "FailedMount", "LeaderElection",
		}
		return "reason!=" + strings.Join(usual, ",reason!=")
	}
	return ""
}

// fetch sends a list request and returns the reduced objects.
func (l *loader) fetch(ctx context.Context, request *rest.Request, k snapshot.Kind) ([]snapshot.Object, error) {
	body, err := request.Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var objects []snapshot.Object
	var replicas sharer
	add := func(o snapshot.Object) {
		if k.Reduce(o) {
			replicas.share(o)
			objects = append(objects, o)
		}
		l.arrived(k, len(objects))
	}
	if k.Typed() {
		err = readProtobuf(body, func(data []byte) error {
			o := k.New()
			if err := o.(unmarshaler).Unmarshal(data); err != nil {
				return err
			}
			add(o)
			return nil
		})
	} else {
		err = readJSON(body, k, add)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return objects, err
}

// arrived reports progress every so many objects.
func (l *loader) arrived(k snapshot.Kind, n int) {
	const every = 500
	if l.opts.Progress == nil || n == 0 || n%every != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opts.Progress(Progress{Resource: k.Resource, Done: int64(n), Total: l.total[k.Resource]})
}

// unmarshaler is what the API's generated types implement. Unmarshal keeps
// nothing of data.
type unmarshaler interface{ Unmarshal(data []byte) error }

// The field numbers of k8s.io/apimachinery's runtime.Unknown, and of every list.
const (
	unknownRaw = 2
	listItems  = 2
)

// maxItem bounds the length of one object in bytes, dozens of times what an API
// server stores: a length beyond it is no length.
const maxItem = 64 << 20

// readProtobuf reads a list as the API server encodes it (a magic number, then a
// runtime.Unknown whose raw bytes are the list) and calls item with the bytes of
// each item, which are valid during the call only.
func readProtobuf(body io.Reader, item func(data []byte) error) error {
	r := &wireReader{Reader: bufio.NewReaderSize(body, 1<<16)}
	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return explain(err)
	}
	if string(magic[:]) != "k8s\x00" {
		return errors.New("expected a protobuf list, found another encoding: is there a proxy before the API server?")
	}
	length, err := r.find(unknownRaw, math.MaxInt64)
	if err != nil {
		return explain(err) // even an empty list has its metadata
	}
	rest := &io.LimitedReader{R: r, N: length}
	list := &wireReader{Reader: bufio.NewReader(rest)}
	if err := list.items(item); err != nil {
		return err
	}
	if rest.N > 0 {
		return explain(io.ErrUnexpectedEOF)
	}
	return nil
}

// explain names the end of a response that ends too early.
func explain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the API server's response ends too early: try again")
	}
	return err
}

// wireReader reads protobuf's wire format from a stream.
type wireReader struct {
	*bufio.Reader
	buffer []byte
}

// items calls item for each item of a list.
func (r *wireReader) items(item func(data []byte) error) error {
	for n := 0; ; n++ {
		length, err := r.find(listItems, maxItem)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if length > int64(cap(r.buffer)) {
			r.buffer = make([]byte, length)
		}
		data := r.buffer[:length]
		if _, err := io.ReadFull(r, data); err != nil {
			return explain(err)
		}
		if err := item(data); err != nil {
			return fmt.Errorf("item %d: %w", n, err)
		}
	}
}

// find skips fields up to the next one with that number, which has a length, and
// returns the length, refusing one beyond longest; io.EOF at the message's end.
func (r *wireReader) find(number protowire.Number, longest uint64) (length int64, err error) {
	for {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return 0, err // io.EOF only before the first byte
		}
		field, typ := protowire.DecodeTag(tag)
		var skip uint64
		switch typ {
		case protowire.BytesType:
			skip, err = binary.ReadUvarint(r)
		case protowire.VarintType:
			_, err = binary.ReadUvarint(r)
		case protowire.Fixed32Type:
			skip = 4
		case protowire.Fixed64Type:
			skip = 8
		default:
			return 0, fmt.Errorf("protobuf field %d: unexpected wire type %d", field, typ)
		}
		if err != nil {
			return 0, explain(err)
		}
		if skip > longest {
			return 0, fmt.Errorf("protobuf field %d: %d bytes is no length of an object", field, skip)
		}
		if field == number && typ == protowire.BytesType {
			return int64(skip), nil
		}
		if _, err := r.Discard(int(skip)); err != nil {
			return 0, explain(err)
		}
	}
}

// readJSON reads the list of a kind without a Go type.
func readJSON(body io.Reader, k snapshot.Kind, add func(snapshot.Object)) error {
	var list struct{ Items []json.RawMessage }
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return explain(err)
	}
	for i, data := range list.Items {
		o := k.New()
		if err := json.Unmarshal(data, o); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
		add(o)
	}
	return nil
}
