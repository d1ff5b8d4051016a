package print

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// barWidth is the length of a progress bar in cells.
const barWidth = 24

// Bar draws done of total as a bar of width cells.
func Bar(done, total, width int) string {
	filled := 0
	if total > 0 {
		filled = min(max(done*width/total, 0), width)
	}
	return strings.Repeat("█", filled) + strings.Repeat("░", width-filled)
}

// Progress redraws one line of a terminal. The zero value draws nothing, which
// is what a stderr that is no terminal gets.
type Progress struct {
	w     io.Writer
	drawn string
}

// NewProgress returns a progress line on w, which must be a terminal.
func NewProgress(w io.Writer) *Progress { return &Progress{w: w} }

// Update shows that done of total are through; a total of 0 means unknown.
func (p *Progress) Update(label string, done, total int) {
	line := fmt.Sprintf("%s  %d", Escape(label), done)
	if total > 0 {
		line = fmt.Sprintf("%s  %s %3d%%", Escape(label), Bar(done, total, barWidth), min(100, done*100/total))
	}
	p.draw(line)
}

// Clear removes the line, so that what follows begins at the left edge.
func (p *Progress) Clear() {
	if p.drawn != "" {
		p.draw("")
	}
}

// draw replaces the line, and writes nothing when nothing changes.
func (p *Progress) draw(line string) {
	if p.w == nil || line == p.drawn {
		return
	}
	p.drawn = line
	fmt.Fprint(p.w, "\r"+ansi.EraseEntireLine+line)
}
