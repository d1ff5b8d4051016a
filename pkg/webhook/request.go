package webhook

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	kjson "sigs.k8s.io/json"
)

// BadRequest is an error in what was sent, which trying again does not mend.
type BadRequest struct{ Err error }

// Error implements error.
func (b BadRequest) Error() string { return b.Err.Error() }

// Unwrap returns what is wrong.
func (b BadRequest) Unwrap() error { return b.Err }

// Decode decodes an object of the request, such as that of its field "oldObject". Errors
// are BadRequest and name the field.
func Decode(raw runtime.RawExtension, field string) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw.Raw, &obj.Object); err != nil {
		return nil, BadRequest{fmt.Errorf("request.%s: expected an object: %w", field, err)}
	}
	if obj.Object == nil {
		return nil, BadRequest{fmt.Errorf("request.%s: expected an object, found none", field)}
	}
	return obj, nil
}

// DecodeInto decodes an object of the request into a Go type. Errors are BadRequest and
// name the field.
func DecodeInto(raw runtime.RawExtension, field string, into any) error {
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw.Raw, into); err != nil {
		return BadRequest{fmt.Errorf("request.%s: %w", field, err)}
	}
	return nil
}

// IsDryRun says whether nothing of the request is to be kept.
func IsDryRun(req *admission.Request) bool { return req.DryRun != nil && *req.DryRun }
