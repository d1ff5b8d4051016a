package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// command is a command line and what to call it.
type command struct {
	name string
	argv []string
}

// usage is what one run took: wall and cpu (user and system) seconds, and the
// peak of resident memory in MiB.
type usage struct{ wall, cpu, memory float64 }

// run runs a command to its end, which must be a success.
func (c command) run(ctx context.Context) (usage, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", strings.Join(c.argv, " "), err, &stderr)
	}
	state := cmd.ProcessState
	memory := float64(state.SysUsage().(*syscall.Rusage).Maxrss) / 1024 // Linux counts in KiB.
	return usage{took.Seconds(), (state.UserTime() + state.SystemTime()).Seconds(), memory}, nil
}

// row is a command's runs, each with the run of the floor just before it.
type row struct {
	name        string
	runs, floor []usage
}

// alternate runs the floor and a command in turn, pairs times each, after a round
// that is not counted. The first row is the floor's own.
func alternate(ctx context.Context, floor command, commands []command, pairs int) ([]row, error) {
	rows := make([]row, 1+len(commands))
	rows[0].name = floor.name
	for round := range pairs + 1 {
		for i, c := range commands {
			least, err := floor.run(ctx)
			if err != nil {
				return nil, err
			}
			took, err := c.run(ctx)
			if err != nil {
				return nil, err
			}
			if round == 0 {
				continue
			}
			r := &rows[i+1]
			r.name, r.runs, r.floor = c.name, append(r.runs, took), append(r.floor, least)
			rows[0].runs, rows[0].floor = append(rows[0].runs, least), append(rows[0].floor, least)
		}
	}
	return rows, nil
}

// printTable writes medians, and medians of the pairs' ratios, as Markdown.
func printTable(w io.Writer, rows []row) {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| command\t| wall (s)\t| CPU (s)\t| peak (MiB)\t| x wall\t| x CPU\t| x memory\t|")
	fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range rows {
		wall, cpu, memory := r.medians(func(u usage) float64 { return u.wall }), r.medians(func(u usage) float64 { return u.cpu }),
			r.medians(func(u usage) float64 { return u.memory })
		fmt.Fprintf(table, "| %s\t| %.3g\t| %.3g\t| %.0f\t| %.2f\t| %.2f\t| %.2f\t|\n",
			r.name, wall.itself, cpu.itself, memory.itself, wall.ratio, cpu.ratio, memory.ratio)
	}
	table.Flush()
	fmt.Fprintln(w)
}

// medians are those of one quantity, and of its ratio to the floor's.
type medians struct{ itself, ratio float64 }

func (r row) medians(of func(usage) float64) medians {
	values, ratios := make([]float64, len(r.runs)), make([]float64, len(r.runs))
	for i := range r.runs {
		values[i] = of(r.runs[i])
		ratios[i] = values[i] / of(r.floor[i])
	}
	return medians{median(values), median(ratios)}
}

// median sorts values, of which there is one at least.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
