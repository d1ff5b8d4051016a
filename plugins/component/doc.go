// Package component is the commands install, uninstall and status of the in-cluster
// component, for every plugin that needs it: no plugin imports another. A plugin mounts
// them on its own command and says its name, which the examples show.
//
// What is done is package install's; here are the flags, the question and the output.
package component
