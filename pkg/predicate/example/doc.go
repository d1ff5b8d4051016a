// Package example is a small scheduler plugin that is not in-tree, as package predicate
// can run one: what tests of the engines use, and where an own plugin may start.
//
// It reads a custom resource through its handle's informers. In the engine the informer
// is there already, from the snapshot; in a scheduler the function given to InformerFor
// makes one that watches, and the scheduler starts it and waits for it with its own. That
// function is the only place for a client.
package example
