// Package bench measures how fast Stowage is, as ratios to what cannot be done
// without, taken in the same run: machines differ, and so does one machine from
// minute to minute, but a ratio of neighbouring runs stays.
//
// The package's benchmarks need no cluster. They measure what happens after a
// load, each against a simpler evaluation of the same pod, in alternation:
//
//   - Matrix, every filter on every node, against upstream's own evaluation,
//     which stops at a node's first failure;
//   - Preempt, Pod (with remedies) and All (1,000 pending pods) against Matrix;
//   - Read, a dump, against decoding the same bytes into untyped values.
//
// TaintPlan, 500 of 5,000 nodes tainted, and Replace, the placing of the displaced
// pods in it, have no such floor: their figures are times.
//
// Command compare fills a real control plane (package lab) and measures whole
// commands there, in alternation with command floor, which lists the same
// objects and drops them; and their start-up against kubectl's.
//
// `make bench` runs both; docs/performance.md has the figures.
package bench
