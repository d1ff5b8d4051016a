package print

import (
	"cmp"
	"io"
	"strings"
)

// columnGap is the room between two columns, as in kubectl's tables.
const columnGap = 3

// minColumn is the least width that a shrinking column keeps, in cells.
const minColumn = 8

// Column is one column of a Table.
type Column struct {
	// Title is in capitals and holds no blank.
	Title string
	// Flexible columns are the first to shrink when a table is too wide.
	Flexible bool
	// Middle cuts the middle out of a cell that is too long, not its end; cells that differ
	// stay different.
	Middle bool
	// Left cuts the beginning of a cell's text, not its end, and keeps its lead.
	Left bool
}

// Cell is one cell of a row: what it says, and its look, which whoever makes the row knows.
type Cell struct {
	// Lead stands before the text: the strokes of a tree.
	Lead string
	// Text need not be escaped. An empty one shows as "<none>", which kubectl prints too: every row has the same
	// number of fields.
	Text string
	// Note stands behind the text in parentheses, as much of it as there is room for. It need
	// not be escaped.
	Note string
	// Style is the cell's look, nil for none.
	Style Style
}

// Texts are cells without a look.
func Texts(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	return cells
}

// Table draws rows under titles.
type Table struct {
	columns []Column
	rows    [][]Cell
}

// NewTable returns a table without rows.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Append adds a row, one cell a column; those that it lacks are empty.
func (t *Table) Append(cells ...Cell) {
	row := make([]Cell, len(t.columns))
	copy(row, cells)
	for i := range row {
		row[i].Text, row[i].Note = row[i].Lead+Escape(cmp.Or(row[i].Text, "<none>")), Escape(row[i].Note)
	}
	t.rows = append(t.rows, row)
}

// Width is how wide the table is when nothing is cut, in cells.
func (t *Table) Width(opts TableOptions) int {
	opts.Width = 0
	total := Width(opts.Indent) + columnGap*(len(t.columns)-1)
	for _, width := range t.Widths(opts) {
		total += width
	}
	return total
}

// TableOptions says how to draw a table.
type TableOptions struct {
	// Width is the limit in cells; 0 means no limit.
	Width int
	// NoHeaders leaves the titles out.
	NoHeaders bool
	// Indent begins every line.
	Indent string
	// Title styles the line of titles; nil leaves it plain.
	Title Style
}

// Write draws the table.
func (t *Table) Write(w io.Writer, opts TableOptions) error {
	widths := t.Widths(opts)
	var b strings.Builder
	if !opts.NoHeaders {
		titles := make([]Cell, len(t.columns))
		for i, column := range t.columns {
			titles[i].Text = column.Title
		}
		b.WriteString(opts.Indent + opts.Title.render(t.line(titles, widths, nil)) + "\n")
	}
	cuts := t.middles(widths)
	for _, row := range t.rows {
		b.WriteString(opts.Indent + t.line(row, widths, cuts) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// middles are the texts of the columns that lose their middles, as they are drawn.
func (t *Table) middles(widths []int) []map[string]string {
	cuts := make([]map[string]string, len(t.columns))
	for i, column := range t.columns {
		if !column.Middle {
			continue
		}
		texts := make([]string, len(t.rows))
		for j, row := range t.rows {
			texts[j] = row[i].Text
		}
		cuts[i] = middles(texts, widths[i])
	}
	return cuts
}

// line draws one row, with cells cut as cuts say, if it is given; the last cell is not
// padded.
func (t *Table) line(cells []Cell, widths []int, cuts []map[string]string) string {
	var b strings.Builder
	for i, cell := range cells {
		text := t.columns[i].cut(cell, widths[i])
		if t.columns[i].Middle && cell.Note == "" && cuts != nil {
			text = cuts[i][cell.Text]
		}
		styled := cell.Style.render(text)
		if i < len(cells)-1 {
			styled = padRight(styled, widths[i]+columnGap)
		}
		b.WriteString(styled)
	}
	return b.String()
}

// cut is the cell in at most width cells.
func (c Column) cut(cell Cell, width int) string {
	if room := width - Width(cell.Text) - parentheses; cell.Note != "" && room >= min(minText, Width(cell.Note)) {
		return cell.Text + " (" + Truncate(cell.Note, room) + ")"
	}
	switch {
	case c.Middle:
		return TruncateMiddle(cell.Text, width)
	case c.Left:
		return truncateAfter(cell.Lead, cell.Text, width)
	}
	return Truncate(cell.Text, width)
}

// parentheses is how many cells there are around a note.
const parentheses = 3

// width is how wide the cell is when nothing is cut.
func (c Cell) width() int {
	if c.Note == "" {
		return Width(c.Text)
	}
	return Width(c.Text) + parentheses + Width(c.Note)
}

// Widths returns each column's width in cells: its widest cell, then shrunk
// until the table fits, flexible columns before the others.
func (t *Table) Widths(opts TableOptions) []int {
	widths := make([]int, len(t.columns))
	for i, column := range t.columns {
		if !opts.NoHeaders {
			widths[i] = Width(column.Title)
		}
		for _, row := range t.rows {
			widths[i] = max(widths[i], row[i].width())
		}
	}
	if opts.Width == 0 {
		return widths
	}
	excess := Width(opts.Indent) + columnGap*(len(widths)-1) - opts.Width
	for _, width := range widths {
		excess += width
	}
	excess = t.shrink(widths, excess, func(c Column) bool { return c.Flexible })
	t.shrink(widths, excess, func(Column) bool { return true })
	return widths
}

// shrink takes excess cells from the chosen columns, always from the widest,
// and returns what it could not take.
func (t *Table) shrink(widths []int, excess int, chosen func(Column) bool) int {
	for ; excess > 0; excess-- {
		widest := -1
		for i, column := range t.columns {
			least := max(minColumn, Width(column.Title))
			if chosen(column) && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return excess
}
