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
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// fieldSelector leaves on the server what a snapshot of k would drop.
func (l *loader) fieldSelector(k snapshot.Kind) string {
	switch k.Resource {
	case "pods":
		if l.opts.Finished {
			return ""
		}
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

// fetch sends a list request, or one for each page of Options.ChunkSize objects,
// and returns the reduced objects. Pages that the server no longer has (it keeps
// them for some minutes) are asked for again as one list.
func (l *loader) fetch(ctx context.Context, k snapshot.Kind, request func() *rest.Request) ([]snapshot.Object, error) {
	if l.opts.ChunkSize <= 0 || !k.Protobuf() {
		objects, _, err := l.fetchPage(ctx, k, request(), 0)
		return objects, err
	}
	var objects []snapshot.Object
	for token := ""; ; {
		page := request().Param("limit", strconv.FormatInt(l.opts.ChunkSize, 10))
		if token != "" {
			page.Param("continue", token)
		}
		more, next, err := l.fetchPage(ctx, k, page, len(objects))
		if apierrors.IsResourceExpired(err) && token != "" {
			objects, _, err = l.fetchPage(ctx, k, request(), 0)
			return objects, err
		}
		if objects = append(objects, more...); err != nil || next == "" {
			return objects, err
		}
		token = next
	}
}

// fetchPage sends one request, after so many objects of earlier ones. next is the
// token of the page after it.
func (l *loader) fetchPage(ctx context.Context, k snapshot.Kind, request *rest.Request, before int) (objects []snapshot.Object, next string, err error) {
	body, err := request.Stream(ctx)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	var replicas sharer
	add := func(o snapshot.Object) {
		if k.Reduce(o) {
			replicas.share(o)
			objects = append(objects, o)
		}
		l.arrived(k, before+len(objects))
	}
	if k.Protobuf() {
		next, err = readProtobuf(body, func(data []byte) error {
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
		return nil, "", ctx.Err()
	}
	return objects, next, err
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
	unknownRaw   = 2
	listMetadata = 1
	listItems    = 2
)

// maxItem bounds the length of one object in bytes, dozens of times what an API
// server stores: a length beyond it is no length.
const maxItem = 64 << 20

// readProtobuf reads a list as the API server encodes it (a magic number, then a
// runtime.Unknown whose raw bytes are the list) and calls item with the bytes of
// each item, which are valid during the call only. It returns the token of the
// list's next page.
func readProtobuf(body io.Reader, item func(data []byte) error) (next string, err error) {
	r := &wireReader{Reader: bufio.NewReaderSize(body, 1<<16)}
	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return "", explain(err)
	}
	if string(magic[:]) != "k8s\x00" {
		return "", errors.New("expected a protobuf list, found another encoding: is there a proxy before the API server?")
	}
	_, length, err := r.find(math.MaxInt64, unknownRaw)
	if err != nil {
		return "", explain(err) // even an empty list has its metadata
	}
	rest := &io.LimitedReader{R: r, N: length}
	list := &wireReader{Reader: bufio.NewReader(rest)}
	next, err = list.items(item)
	if err == nil && rest.N > 0 {
		err = explain(io.ErrUnexpectedEOF)
	}
	return next, err
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

// items calls item for each item of a list, and returns the metadata's continue
// token.
func (r *wireReader) items(item func(data []byte) error) (next string, err error) {
	for n := 0; ; {
		field, length, err := r.find(maxItem, listMetadata, listItems)
		if errors.Is(err, io.EOF) {
			return next, nil
		}
		if err != nil {
			return "", err
		}
		if length > int64(cap(r.buffer)) {
			r.buffer = make([]byte, length)
		}
		data := r.buffer[:length]
		if _, err := io.ReadFull(r, data); err != nil {
			return "", explain(err)
		}
		if field == listMetadata {
			var meta metav1.ListMeta
			if err := meta.Unmarshal(data); err != nil {
				return "", fmt.Errorf("the list's metadata: %w", err)
			}
			next = meta.Continue
			continue
		}
		if err := item(data); err != nil {
			return "", fmt.Errorf("item %d: %w", n, err)
		}
		n++
	}
}

// find skips fields up to the next one with one of the numbers that has a length,
// and returns the two, refusing a length beyond longest; io.EOF at the message's end.
func (r *wireReader) find(longest uint64, numbers ...protowire.Number) (field protowire.Number, length int64, err error) {
	for {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return 0, 0, err // io.EOF only before the first byte
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
			return 0, 0, fmt.Errorf("protobuf field %d: unexpected wire type %d", field, typ)
		}
		if err != nil {
			return 0, 0, explain(err)
		}
		if skip > longest {
			return 0, 0, fmt.Errorf("protobuf field %d: %d bytes is no length of an object", field, skip)
		}
		if typ == protowire.BytesType && slices.Contains(numbers, field) {
			return field, int64(skip), nil
		}
		if _, err := r.Discard(int(skip)); err != nil {
			return 0, 0, explain(err)
		}
	}
}

// readJSON reads the list of a custom resource.
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
