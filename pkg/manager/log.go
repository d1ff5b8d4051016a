package manager

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// The log formats.
const (
	LogText = "text"
	LogJSON = "json"
)

// LogOptions say what is logged, and how.
type LogOptions struct {
	// Format is LogText or LogJSON.
	Format string
	// Verbosity is klog's: 0 is for operators, 4 for debugging.
	Verbosity int
}

func (l *LogOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&l.Format, "log-format", l.Format, `Format of the log: "text" or "json", an object a line.`)
	flags.IntVarP(&l.Verbosity, "v", "v", l.Verbosity, "Verbosity of the log: 0 for operators, 4 for debugging.")
}

func (l *LogOptions) validate() error {
	if formats := []string{LogText, LogJSON}; !slices.Contains(formats, l.Format) {
		return fmt.Errorf("--log-format %q: expected one of %s", l.Format, strings.Join(formats, ", "))
	}
	if l.Verbosity < 0 {
		return fmt.Errorf("-v %d: expected 0 or more", l.Verbosity)
	}
	return nil
}

// apply has this process log to w: what is ours, controller-runtime's and client-go's.
func (l *LogOptions) apply(w io.Writer) {
	// logr's verbosity n is slog's level -n.
	options := &slog.HandlerOptions{Level: slog.Level(-l.Verbosity)}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if l.Format == LogJSON {
		handler = slog.NewJSONHandler(w, options)
	}
	logger := logr.FromSlogHandler(handler)
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
}
