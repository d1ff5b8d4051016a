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
// and returns the reduced objects and the list's resource version. Pages that the
// server no longer has (it keeps them for some minutes) are asked for again as one list.
func (l *loader) fetch(ctx context.Context, k snapshot.Kind, request func() *rest.Request) (objects []snapshot.Object, version string, err error) {
	if l.opts.ChunkSize <= 0 || !k.Protobuf() {
		objects, list, err := l.fetchPage(ctx, k, request(), 0)
		return objects, list.ResourceVersion, err
	}
	for token := ""; ; {
		page := request().Param("limit", strconv.FormatInt(l.opts.ChunkSize, 10))
		if token != "" {
			page.Param("continue", token)
		}
		more, list, err := l.fetchPage(ctx, k, page, len(objects))
		if apierrors.IsResourceExpired(err) && token != "" {
			objects, list, err = l.fetchPage(ctx, k, request(), 0)
			return objects, list.ResourceVersion, err
		}
		if objects = append(objects, more...); err != nil || list.Continue == "" {
			return objects, list.ResourceVersion, err
		}
		token = list.Continue
	}
}

// fetchPage sends one request, after so many objects of earlier ones. list says where
// the next page is, and what the list is a list of.
func (l *loader) fetchPage(ctx context.Context, k snapshot.Kind, request *rest.Request, before int) (objects []snapshot.Object, list metav1.ListMeta, err error) {
	body, err := request.Stream(ctx)
	if err != nil {
		return nil, list, err
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
		list, err = readProtobuf(body, func(data []byte) error {
			o := k.New()
			if err := o.(unmarshaler).Unmarshal(data); err != nil {
				return err
			}
			add(o)
			return nil
		})
	} else {
		list, err = readJSON(body, k, add)
	}
	if err != nil && ctx.Err() != nil {
		return nil, list, ctx.Err()
	}
	return objects, list, err
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
// each item, which are valid during the call only. It returns the list's metadata.
func readProtobuf(body io.Reader, item func(data []byte) error) (meta metav1.ListMeta, err error) {
	r := &wireReader{Reader: bufio.NewReaderSize(body, 1<<16)}
	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return meta, explain(err)
	}
	if string(magic[:]) != "k8s\x00" {
		return meta, errors.New("expected a protobuf list, found another encoding: is there a proxy before the API server?")
	}
	_, length, err := r.find(math.MaxInt64, unknownRaw)
	if err != nil {
		return meta, explain(err) // even an empty list has its metadata
	}
	rest := &io.LimitedReader{R: r, N: length}
	list := &wireReader{Reader: bufio.NewReader(rest)}
	meta, err = list.items(item)
	if err == nil && rest.N > 0 {
		err = explain(io.ErrUnexpectedEOF)
	}
	return meta, err
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

// items calls item for each item of a list, and returns the list's metadata.
func (r *wireReader) items(item func(data []byte) error) (meta metav1.ListMeta, err error) {
	for n := 0; ; {
		field, length, err := r.find(maxItem, listMetadata, listItems)
		if errors.Is(err, io.EOF) {
			return meta, nil
		}
		if err != nil {
			return meta, err
		}
		if length > int64(cap(r.buffer)) {
			r.buffer = make([]byte, length)
		}
		data := r.buffer[:length]
		if _, err := io.ReadFull(r, data); err != nil {
			return meta, explain(err)
		}
		if field == listMetadata {
			if err := meta.Unmarshal(data); err != nil {
				return meta, fmt.Errorf("the list's metadata: %w", err)
			}
			continue
		}
		if err := item(data); err != nil {
			return meta, fmt.Errorf("item %d: %w", n, err)
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
func readJSON(body io.Reader, k snapshot.Kind, add func(snapshot.Object)) (metav1.ListMeta, error) {
	var list struct {
		Metadata metav1.ListMeta
		Items    []json.RawMessage
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return list.Metadata, explain(err)
	}
	for i, data := range list.Items {
		o := k.New()
		if err := json.Unmarshal(data, o); err != nil {
			return list.Metadata, fmt.Errorf("item %d: %w", i, err)
		}
		add(o)
	}
	return list.Metadata, nil
}
