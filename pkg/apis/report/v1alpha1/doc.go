// Package v1alpha1 holds what every Stowage command prints with -o json|yaml.
//
// Every report is a versioned runtime.Object, so that kubectl's own printers
// give json, yaml, jsonpath, go-template and custom-columns. A field, once
// printed, is an interface: others read these reports. Fields are only added
// within a version, and a list is never null where scripts would index it.
//
// +kubebuilder:object:generate=true
// +groupName=report.stowage.dev
package v1alpha1
