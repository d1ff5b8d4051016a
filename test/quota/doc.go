// Package quota holds the end-to-end tests of the quota component: three managers on a real control plane (see
// package rig), every rule of business groups' quotas in both directions, and kubectl as users have it.
//
// Tests run beside each other. Each has a namespace and groups with names of its own, so that none sees another's;
// only those that kill managers, or want them with other options, run alone.
package quota
