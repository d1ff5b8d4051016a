package whypending_test

import (
	"strings"

	"github.com/stowage-dev/stowage/pkg/print"
)

// visibleWidth counts a line's cells.
func visibleWidth(line string) int { return print.Width(strings.TrimRight(line, "\n")) }

// isCommand says whether a line is one to copy, which is never wrapped.
func isCommand(line string) bool {
	command := strings.TrimLeft(line, " \x1b[36m")
	return strings.HasPrefix(command, "kubectl ") || strings.HasPrefix(command, "echo ")
}
