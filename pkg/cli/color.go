package cli

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

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
		return fmt.Errorf("expected one of %s%s", strings.Join(colorModes(), ", "), DidYouMean(value, colorModes()))
	}
	*m = ColorMode(value)
	return nil
}

// Theme resolves the mode for stdout: "auto" colours a terminal, unless
// NO_COLOR is set (https://no-color.org) or TERM is "dumb".
func (m *ColorMode) Theme(env Env) print.Theme {
	_, noColor := env.LookupEnv("NO_COLOR")
	auto := printers.IsTerminal(env.Out) && !noColor && !env.dumb()
	return print.NewTheme(*m == ColorAlways || *m == ColorAuto && auto)
}
