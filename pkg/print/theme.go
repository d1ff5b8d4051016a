package print

import (
	"io"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// Style renders a text in one look; nil leaves it as it is.
type Style func(text string) string

// render is the text in the style.
func (s Style) render(text string) string {
	if s == nil {
		return text
	}
	return s(text)
}

// Theme names the looks by what they mean. It uses the terminal's own sixteen
// colours, so that it follows the user's light or dark scheme.
type Theme struct {
	// Strong is for what the eye should find first, Faint for what it may skip.
	Strong, Faint Style
	// Good, Warn and Bad are verdicts.
	Good, Warn, Bad Style
	// Heading opens a section, Code is something to type.
	Heading, Code Style
}

// NewTheme returns the coloured theme, or the plain one that changes no text.
func NewTheme(color bool) Theme {
	if !color {
		return Theme{Strong: plain, Faint: plain, Good: plain, Warn: plain, Bad: plain, Heading: plain, Code: plain}
	}
	// A renderer of our own asks the terminal nothing: colours were decided by the caller.
	renderer := lipgloss.NewRenderer(io.Discard)
	renderer.SetColorProfile(termenv.ANSI)
	renderer.SetHasDarkBackground(true)
	base := renderer.NewStyle()
	return Theme{
		Strong:  styled(base.Bold(true)),
		Faint:   styled(base.Faint(true)),
		Good:    styled(base.Foreground(lipgloss.Color("2"))),
		Warn:    styled(base.Foreground(lipgloss.Color("3"))),
		Bad:     styled(base.Foreground(lipgloss.Color("1")).Bold(true)),
		Heading: styled(base.Bold(true)),
		Code:    styled(base.Foreground(lipgloss.Color("6"))),
	}
}

func plain(text string) string { return text }

func styled(style lipgloss.Style) Style {
	return func(text string) string { return style.Render(text) }
}
