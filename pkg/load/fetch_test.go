package load

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// encode is a response body, by the serializer of the API server.
func encode(t testing.TB, list *corev1.PodList) []byte {
	t.Helper()
	list.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}
	var b bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(list, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func podList(n int) *corev1.PodList {
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "12"}}
	for i := range n {
		list.Items = append(list.Items, *build.Pod("ns", fmt.Sprint("p", i)).Request("cpu=1").Label("long", strings.Repeat("x", 100*i)).Obj())
	}
	return list
}

func readPods(body []byte) (pods []corev1.Pod, err error) {
	_, err = readProtobuf(bytes.NewReader(body), func(data []byte) error {
		var pod corev1.Pod
		if err := pod.Unmarshal(data); err != nil {
			return err
		}
		pods = append(pods, pod)
		return nil
	})
	return pods, err
}

func TestReadProtobuf(t *testing.T) {
	for _, n := range []int{0, 1, 2, 200} {
		list := podList(n)
		var want corev1.PodList // quantities as they come out of protobuf
		data, err := list.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := want.Unmarshal(data); err != nil {
			t.Fatal(err)
		}
		got, err := readPods(encode(t, list))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Items, got); diff != "" {
			t.Errorf("%d pods: items differ (-want +got):\n%s", n, diff)
		}
	}
}

// TestReadProtobufTruncated cuts a response at every byte: a connection may break
// anywhere, and no list may pass for a shorter one.
func TestReadProtobufTruncated(t *testing.T) {
	body := encode(t, podList(3))
	const trailer = 4 // empty contentEncoding and contentType, which nobody misses
	for cut := range len(body) - trailer {
		if pods, err := readPods(body[:cut]); err == nil {
			t.Fatalf("cut at byte %d of %d: read %d pods without an error", cut, len(body), len(pods))
		}
	}
}

func TestReadProtobufRefuses(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"nothing", "", "the API server's response ends too early: try again"},
		{"JSON", `{"kind":"PodList"}`, "expected a protobuf list, found another encoding: is there a proxy before the API server?"},
		{"group", "k8s\x00\x0b", "protobuf field 1: unexpected wire type 3"},
		{"huge item", "k8s\x00\x12\x06\x12\xff\xff\xff\xff\x0f", "protobuf field 2: 4294967295 bytes is no length of an object"},
		{"bad item", "k8s\x00\x12\x03\x12\x01\x0b", "item 0: proto: wrong wireType = 3 for field ObjectMeta"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := readPods([]byte(tc.body)); err == nil || err.Error() != tc.want {
				t.Errorf("error = %v\nwant    %s", err, tc.want)
			}
		})
	}
}

// FuzzReadProtobuf must not panic, nor take memory for a length that is a lie.
func FuzzReadProtobuf(f *testing.F) {
	f.Add(encode(f, podList(0)))
	f.Add(encode(f, podList(2)))
	f.Add([]byte("k8s\x00\x12\xff\xff\xff\xff\x03\x12\xff\xff\xff\x03"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if pods, err := readPods(body); err == nil && len(pods) > len(body) {
			t.Errorf("%d pods from %d bytes", len(pods), len(body))
		}
	})
}
