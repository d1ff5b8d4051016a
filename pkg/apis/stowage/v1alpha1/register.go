package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of Stowage's custom resources. Labels and
// annotations of Stowage's own start with it.
const GroupName = "stowage.dev"

// GroupVersion is the group and version of this package's kinds.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// BizGroupResourceQuotaKind names the kind, and BizGroupResourceQuotaResource
// its plural in the API's paths.
const (
	BizGroupResourceQuotaKind     = "BizGroupResourceQuota"
	BizGroupResourceQuotaResource = "bizgroupresourcequotas"
)

// AddToScheme registers the kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &BizGroupResourceQuota{}, &BizGroupResourceQuotaList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
