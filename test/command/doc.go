// Package command tests kubectl plugins as they are used: argv in, exact stdout and
// stderr out.
//
// A [Plugin] names a command and makes it. [Plugin.Golden] compares what it writes
// with files under testdata/golden, one a [Case]; [Plugin.Guide] compares it with the
// console blocks of a guide page; the flag -update records both ("make
// update-golden"). A [Live] runs it on a real control plane.
//
// A command runs in the test's own process, with an environment that holds nothing
// of the machine's: no kubeconfig, no environment variables, no terminal.
package command
