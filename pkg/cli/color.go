package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/print"
)

// ColorMode says when output is coloured. It is a pflag.Value.
type ColorMode string

// The values of --color.
const (
	ColorAuto   ColorMode = "auto"
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

func colorModes() []string {
	return []string{string(ColorAuto), string(ColorAlways), string(ColorNever)}
}

// String implements pflag.Value.
func (m *ColorMode) String() string { return string(*m) }

// Type implements pflag.Value.
func (m *ColorMode) Type() string { return "string" }

// Set implements pflag.Value.
func (m *ColorMode) Set(value string) error {
	if !slices.Contains(colorModes(), value) {
		return fmt.Errorf("expected one of %s%s", strings.Join(colorModes(), ", "), nearest.DidYouMean(value, colorModes()))
	}
	*m = ColorMode(value)
	return nil
}

// AddFlag binds --color.
func (m *ColorMode) AddFlag(cmd *cobra.Command) {
	cmd.Flags().Var(m, "color", `When to use colours: "auto" (on a terminal), "always" or "never". NO_COLOR and TERM=dumb turn "auto" off.`)
	complete(cmd, "color", colorModes)
}

// Theme resolves the mode for stdout: "auto" colours a terminal, unless
// NO_COLOR is set (https://no-color.org) or TERM is "dumb".
func (m *ColorMode) Theme(env Env) print.Theme {
	_, noColor := env.LookupEnv("NO_COLOR")
	auto := printers.IsTerminal(env.Out) && !noColor && !env.dumb()
	return print.NewTheme(*m == ColorAlways || *m == ColorAuto && auto)
}

// Drawn says whether bars are drawn on stdout: on a terminal that is not "dumb",
// and where colours are asked for always.
func (m *ColorMode) Drawn(env Env) bool {
	return *m == ColorAlways || printers.IsTerminal(env.Out) && !env.dumb()
}
