package print

import (
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
	// Middle cuts the middle out of a cell that is too long, not its end.
	Middle bool
	// Style, when set, chooses a look by the cell's whole text.
	Style func(text string) Style
}

// Table draws rows under titles.
type Table struct {
	columns []Column
	rows    [][]string
}

// NewTable returns a table without rows.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Append adds a row, one cell a column, escaped. An empty cell shows as
// "<none>", which kubectl prints too: every row has the same number of fields.
func (t *Table) Append(cells ...string) {
	row := make([]string, len(t.columns))
	for i := range row {
		row[i] = "<none>"
		if i < len(cells) && cells[i] != "" {
			row[i] = Escape(cells[i])
		}
	}
	t.rows = append(t.rows, row)
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
	widths := t.widths(opts)
	var b strings.Builder
	if !opts.NoHeaders {
		titles := make([]string, len(t.columns))
		for i, column := range t.columns {
			titles[i] = column.Title
		}
		style := opts.Title
		if style == nil {
			style = plain
		}
		line := t.line(titles, widths, func(Column, string) Style { return plain })
		b.WriteString(opts.Indent + style(line) + "\n")
	}
	for _, row := range t.rows {
		b.WriteString(opts.Indent + t.line(row, widths, cellStyle) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cellStyle(column Column, text string) Style {
	if column.Style == nil {
		return plain
	}
	return column.Style(text)
}

// line draws one row; the last cell is not padded.
func (t *Table) line(cells []string, widths []int, style func(Column, string) Style) string {
	var b strings.Builder
	for i, cell := range cells {
		cut := Truncate(cell, widths[i])
		if t.columns[i].Middle {
			cut = TruncateMiddle(cell, widths[i])
		}
		styled := style(t.columns[i], cell)(cut)
		if i < len(cells)-1 {
			styled = padRight(styled, widths[i]+columnGap)
		}
		b.WriteString(styled)
	}
	return b.String()
}

// widths returns each column's width in cells: its widest cell, then shrunk
// until the table fits, flexible columns before the others.
func (t *Table) widths(opts TableOptions) []int {
	widths := make([]int, len(t.columns))
	for i, column := range t.columns {
		if !opts.NoHeaders {
			widths[i] = Width(column.Title)
		}
		for _, row := range t.rows {
			widths[i] = max(widths[i], Width(row[i]))
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
