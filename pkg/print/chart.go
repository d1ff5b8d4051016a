package print

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Point is so many of something at a time.
type Point struct {
	At    time.Duration
	Count int
}

// Chart draws counts against time: columns over an axis.
type Chart struct {
	// Width is that of the whole chart, Height the most of the highest column, in cells.
	Width, Height int
	// Column styles the columns, Axis what is beside and below them.
	Column, Axis Style
}

// maxTicks is how many times are written on an axis after the first one, 0.
const maxTicks = 6

// eighths are the blocks that fill a cell from below, by how many eighths of it.
const eighths = " ▁▂▃▄▅▆▇█"

// Write draws the points, whose times count from 0. Those that share a cell of the
// axis are added up; the highest column's sum stands beside it.
func (c Chart) Write(w io.Writer, points []Point) error {
	var end time.Duration
	total := 0
	for _, point := range points {
		end, total = max(end, point.At), total+point.Count
	}
	step := tickStep(end)
	gutter := len(fmt.Sprint(total)) + 2
	room := c.Width - gutter - len(duration.HumanDuration(end)) + 1 // the last time is written below the last cell
	columns := make([]int, cell(end, end, room)+1)
	for _, point := range points {
		columns[cell(point.At, end, room)] += point.Count
	}
	var b strings.Builder
	top := slices.Max(columns)
	label, height := fmt.Sprint(top), min(c.Height, top)
	for row := height; row > 0; row-- {
		b.WriteString(c.Axis(fmt.Sprintf("%*s ┤", gutter-2, label)))
		b.WriteString(c.Column(bars(columns, top, height, row)) + "\n")
		label = ""
	}
	b.WriteString(c.Axis(axis(len(columns), gutter, end, step)) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// bars is one row of the columns, row 1 being the lowest; a column of top is height
// rows high.
func bars(columns []int, top, height, row int) string {
	blocks := []rune(eighths)
	var b strings.Builder
	for _, count := range columns {
		filled := 0
		if count > 0 {
			filled = max(1, count*height*8/top) - (row-1)*8
		}
		b.WriteRune(blocks[min(max(filled, 0), 8)])
	}
	return strings.TrimRight(b.String(), " ")
}

// axis is the line below the columns with a tick each step, and the ticks' times.
func axis(columns, gutter int, end, step time.Duration) string {
	line := []rune(strings.Repeat("─", columns))
	labels := strings.Repeat(" ", gutter)
	for at := time.Duration(0); ; at += step {
		i := cell(at, end, columns)
		line[i] = '┬'
		labels = padRight(labels, gutter+i) + duration.HumanDuration(at)
		if end-at < step {
			break
		}
	}
	return strings.Repeat(" ", gutter-1) + "└" + string(line) + "\n" + labels
}

// cell is where a time stands on an axis of columns cells that ends at end.
func cell(at, end time.Duration, columns int) int {
	if end == 0 {
		return 0
	}
	return int(max(0, at).Seconds() / end.Seconds() * float64(columns-1))
}

// tickStep is the least round time of which maxTicks reach the end.
func tickStep(end time.Duration) time.Duration {
	for unit := time.Second; ; unit *= 60 {
		for _, n := range []time.Duration{1, 2, 5, 10, 15, 30} {
			if n*unit >= end/maxTicks {
				return n * unit
			}
		}
	}
}
