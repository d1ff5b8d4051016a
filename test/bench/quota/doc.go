// Package quota measures admission by the quota component beside native ResourceQuota, in one run of one API
// server on one machine: the figures are ratios.
//
// 64 clients, each with connections of its own, create the same objects in a namespace where nothing is charged,
// in one with a ResourceQuota, and in one whose group the component charges, with three managers and with one.
// The four are measured in turn, each round in another order, and each is alone when it is measured: no manager
// runs while native ResourceQuota is measured. Everything shares the machine's cores, the managers too.
//
// ResourceQuota charges pods, not workloads; of a Deployment it charges the number (count/deployments.apps), while
// the component charges its three pods. No controller makes pods of them here, so that only admission is measured.
//
// Then the component has 10, 1,000 and 10,000 groups of depth 6 to watch, with charges to all of them or to one;
// and `kubectl quota tree` prints 10,000 from a snapshot.
//
//	make bench-quota
//
// Plain `go test` runs all of it with few objects, to see that it works.
package quota
