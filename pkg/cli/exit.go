package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/stowage-dev/stowage/pkg/print"
)

// The exit codes of every plugin. An error is always above 1, so that with
// --exit-code a 1 means "no" and nothing else, as for diff and grep.
const (
	ExitOK          = 0
	ExitNo          = 1
	ExitError       = 2
	ExitInterrupted = 128 + int(syscall.SIGINT)
)

// ErrNo is a verdict, not a failure: the command did its work and the answer,
// which --exit-code makes count, is no. Nothing is printed for it.
var ErrNo = errors.New("the answer is no")

// Execute runs a command with the process's arguments and returns its exit
// code. Ctrl-C cancels the command's context; a second one ends the process.
func Execute(env Env, cmd *cobra.Command) int {
	Quiet()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := cmd.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		return ExitInterrupted
	}
	return Report(env.ErrOut, err)
}

// Quiet silences the logs of the libraries: what a user must know, we say. Every log of
// client-go's goes through klog's logger; without one, klog writes errors to stderr
// wherever else its output goes.
func Quiet() {
	klog.SetLogger(logr.Discard())
	log.SetOutput(io.Discard)
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
}

// Report writes an error as kubectl words it and returns the exit code for it.
func Report(w io.Writer, err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNo):
		return ExitNo
	}
	fmt.Fprintln(w, message(err))
	return ExitError
}

// message is kubectl's text for an error, on one line but for usage hints.
func message(err error) string {
	if usage, ok := errors.AsType[*usageError](err); ok {
		return fmt.Sprintf("error: %s\nSee '%s --help' for usage.", print.Escape(usage.message), usage.command)
	}
	if text, ok := cmdutil.StandardErrorMessage(known(err)); ok {
		return print.Escape(text)
	}
	return "error: " + print.Escape(strings.TrimPrefix(err.Error(), "error: "))
}

// known unwraps an error down to one whose wording kubectl knows.
func known(err error) error {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status
	}
	if connection, ok := errors.AsType[*url.Error](err); ok {
		return connection
	}
	return err
}

// usageError is a mistake in flags or arguments, answered with a pointer to the help.
type usageError struct{ message, command string }

func (e *usageError) Error() string { return e.message }

// UsageErrorf is an error about a command's flags or arguments.
func UsageErrorf(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), command: cmd.CommandPath()}
}
