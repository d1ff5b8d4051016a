package command

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/print"
)

var update = flag.Bool("update", false, "record the golden files and the guide pages")

// Main is the body of a TestMain: the libraries log nothing, as in the binaries.
func Main(m *testing.M) {
	cli.Quiet()
	os.Exit(m.Run())
}

// Plugin is a command under test.
type Plugin struct {
	// Name is the command's after kubectl ("why-pending").
	Name string
	// New makes the command.
	New func(cli.Env) *cobra.Command
}

// Result is what a command line led to.
type Result struct {
	// Line is the command line.
	Line           string
	Code           int
	Stdout, Stderr string
}

// String is the result as a golden file holds it.
func (r Result) String() string {
	return fmt.Sprintf("$ %s\nexit code %d\n--- stdout\n%s--- stderr\n%s", r.Line, r.Code, r.Stdout, r.Stderr)
}

// Run runs the command as its binary would, on the day of the example fleet.
func (p Plugin) Run(t testing.TB, stdin string, args ...string) Result {
	t.Helper()
	return p.RunAt(t, testingclock.NewFakeClock(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)), stdin, args...)
}

// RunAt is Run with a clock of the caller's.
func (p Plugin) RunAt(t testing.TB, clock clock.Clock, stdin string, args ...string) Result {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	cmd := p.New(Env(streams, clock))
	cmd.SetArgs(args)
	code := cli.Report(errOut, cmd.ExecuteContext(t.Context()))
	return Result{Line: "kubectl " + p.Name + " " + strings.Join(args, " "), Code: code, Stdout: out.String(), Stderr: errOut.String()}
}

// Columns is the plugin on a terminal of so many columns.
func (p Plugin) Columns(n int) Plugin {
	wide := p.New
	p.New = func(env cli.Env) *cobra.Command {
		env.LookupEnv = func(name string) (string, bool) { return strconv.Itoa(n), name == "COLUMNS" }
		return wide(env)
	}
	return p
}

// Env is an environment that holds nothing of the machine's.
func Env(streams genericiooptions.IOStreams, clock clock.Clock) cli.Env {
	return cli.Env{
		IOStreams: streams,
		Clock:     clock,
		LookupEnv: func(string) (string, bool) { return "", false },
		Config:    genericclioptions.NewConfigFlags(true),
	}
}

// Case is one command line, recorded in testdata/golden under its name.
type Case struct {
	Name  string
	Args  []string
	Stdin string
	// Columns are the terminal's; 0 for a pipe.
	Columns int
}

// run runs the case.
func (p Plugin) run(t testing.TB, tc Case) Result {
	t.Helper()
	if tc.Columns > 0 {
		p = p.Columns(tc.Columns)
	}
	return p.Run(t, tc.Stdin, tc.Args...)
}

// Golden compares what each case writes with its file, and finds files that no case
// writes any more.
func (p Plugin) Golden(t *testing.T, cases ...Case) {
	known := map[string]bool{}
	for _, tc := range cases {
		if known[tc.Name] {
			t.Errorf("two cases are named %q", tc.Name)
		}
		known[tc.Name] = true
		t.Run(tc.Name, func(t *testing.T) { compare(t, goldenFile(tc.Name), p.run(t, tc).String()) })
	}
	files, err := filepath.Glob(goldenFile("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[strings.TrimSuffix(filepath.Base(file), ".txt")] {
			t.Errorf("%s: no case of that name", file)
		}
	}
}

func goldenFile(name string) string { return filepath.Join("testdata", "golden", name+".txt") }

// compare compares got with a file, or records it.
func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run make update-golden", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, - is recorded, + is what the command writes (make update-golden):\n%s", path, diff)
	}
}

// Named checks that every command's help, and what is said to a mistake, call the plugin "kubectl NAME", as it is
// typed.
func (p Plugin) Named(t *testing.T) {
	full := "kubectl " + p.Name
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	root := p.New(Env(streams, clock.RealClock{}))
	called := regexp.MustCompile(`(kubectl )?\b` + p.Name + ` (<command>|(` + strings.Join(subcommands(root), "|") + `)\b)`)
	var walk func(cmd *cobra.Command, path ...string)
	walk = func(cmd *cobra.Command, path ...string) {
		t.Run(strings.Join(append(path, "help"), " "), func(t *testing.T) {
			help := p.Run(t, "", append(path, "--help")...).Stdout
			for _, name := range called.FindAllString(help, -1) {
				if !strings.HasPrefix(name, full) {
					t.Errorf("%q is called so, expected %s:\n%s", name, full, help)
				}
			}
			mistake := p.Run(t, "", append(path, "--no-such-flag")...).Stderr
			if hint := "See '" + strings.Join(append([]string{full}, path...), " ") + " --help' for usage."; !strings.Contains(mistake, hint) {
				t.Errorf("%q is not in %q", hint, mistake)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub, append(slices.Clone(path), sub.Name())...)
		}
	}
	walk(root)
}

// subcommands are the names of a command's subcommands.
func subcommands(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return names
}

// Fits checks the promise of 80 columns on what the cases write to stdout, but for
// lines that are exempt, and for -o, whose formats are as long as they are.
func (p Plugin) Fits(t *testing.T, exempt func(line string) bool, cases ...Case) {
	p = p.Columns(80)
	for _, tc := range cases {
		if slices.ContainsFunc(tc.Args, func(arg string) bool { return strings.HasPrefix(arg, "-o") }) {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			for line := range strings.Lines(p.Run(t, tc.Stdin, tc.Args...).Stdout) {
				line = strings.TrimSuffix(line, "\n")
				if width := print.Width(line); width > 80 && !exempt(line) {
					t.Errorf("%d cells: %s", width, line)
				}
			}
		})
	}
}
