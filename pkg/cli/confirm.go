package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/stowage-dev/stowage/pkg/print"
)

// Confirm asks a question on the terminal, and returns an error unless the answer
// is yes. Where there is nobody to ask it says which flag to give instead.
func (e Env) Confirm(question string) error {
	if !printers.IsTerminal(e.In) {
		return errors.New("stdin is no terminal to ask on: expected --yes, or --dry-run=server to see what would be done")
	}
	fmt.Fprintf(e.ErrOut, "%s [y/N] ", print.Escape(question))
	answer, err := bufio.NewReader(e.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed, and nothing was changed")
	}
	return nil
}
