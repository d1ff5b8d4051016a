package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the reports. It is no group of any API server:
// reports are printed, never stored.
const GroupName = "report.stowage.dev"

// GroupVersion is the group and version that every report carries.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the report kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &PendingReport{}, &QuotaCheck{}, &QuotaCheckList{}, &QuotaTree{}, &QuotaVerify{}, &TaintPlan{})
	return nil
}
