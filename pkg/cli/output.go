package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/kubectl/pkg/cmd/get"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

// The formats that a command draws itself. All others are kubectl's.
const (
	formatWide = "wide"
	formatName = "name"
)

// OutputFlags are kubectl's flags for what is printed and how.
type OutputFlags struct {
	Format    string
	NoHeaders bool
	SortBy    string
	Color     ColorMode
	// Unnamed says that what is printed has no name that -o name could print.
	Unnamed bool
	// Items is the list field of the report that custom columns have a row for each
	// element of.
	Items string

	json    *genericclioptions.JSONYamlPrintFlags
	text    *genericclioptions.KubeTemplatePrintFlags
	columns *get.CustomColumnsPrintFlags
}

// NewOutputFlags returns the flags with kubectl's defaults.
func NewOutputFlags() *OutputFlags {
	return &OutputFlags{
		Color:   ColorAuto,
		Items:   "items",
		json:    genericclioptions.NewJSONYamlPrintFlags(),
		text:    genericclioptions.NewKubeTemplatePrintFlags(),
		columns: get.NewCustomColumnsPrintFlags(),
	}
}

// AddFlags binds -o, --template, --no-headers, --sort-by and --color.
func (f *OutputFlags) AddFlags(cmd *cobra.Command) {
	f.text.AddFlags(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.Format, "output", "o", f.Format, fmt.Sprintf("Output format. One of: (%s). See custom columns [https://kubernetes.io/docs/reference/kubectl/#custom-columns], golang template [http://golang.org/pkg/text/template/#pkg-overview] and jsonpath template [https://kubernetes.io/docs/reference/kubectl/jsonpath/].", strings.Join(f.formats(), ", ")))
	flags.BoolVar(&f.NoHeaders, "no-headers", f.NoHeaders, "When using the default or custom-column output format, don't print headers (default print headers).")
	flags.StringVar(&f.SortBy, "sort-by", f.SortBy, "If non-empty, sort the items by this field specification. The field specification is a JSONPath expression of the report's items (e.g. '{.pendingSince}').")
	f.Color.AddFlag(cmd)
	complete(cmd, "output", f.formats)
}

func complete(cmd *cobra.Command, flag string, values func() []string) {
	// The error says that the flag does not exist, and it was added by our caller.
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return StartingWith(values(), toComplete), cobra.ShellCompDirectiveNoFileComp
	}))
}

// formats names every format, sorted as kubectl shows them: by family.
func (f *OutputFlags) formats() []string {
	names := []string{formatName}
	if f.Unnamed {
		names = nil
	}
	return slices.Concat([]string{formatWide}, f.json.AllowedFormats(), names, f.text.AllowedFormats(), f.columns.AllowedFormats())
}

// Human says whether people read the output: the default format and "wide".
func (f *OutputFlags) Human() bool {
	return (f.Format == "" || f.Wide()) && *f.text.TemplateArgument == ""
}

// Wide says whether "-o wide" was given.
func (f *OutputFlags) Wide() bool { return f.Format == formatWide }

// Name says whether "-o name" was given.
func (f *OutputFlags) Name() bool { return f.Format == formatName }

// Validate checks the format and the sort field before any work is done.
func (f *OutputFlags) Validate() error {
	if _, err := parseSortBy(f.SortBy); err != nil {
		return err
	}
	if f.Human() || f.Name() && !f.Unnamed {
		return nil
	}
	_, err := f.printer()
	return err
}

// printer returns kubectl's printer for a machine format.
func (f *OutputFlags) printer() (printers.ResourcePrinter, error) {
	format := f.Format
	if format == "" {
		format = "go-template" // --template alone means this, as for kubectl get
	}
	f.columns.NoHeaders = f.NoHeaders
	f.columns.TemplateArgument = *f.text.TemplateArgument
	for _, family := range []interface {
		ToPrinter(format string) (printers.ResourcePrinter, error)
	}{f.text, f.json, f.columns} {
		printer, err := family.ToPrinter(format)
		if !genericclioptions.IsNoCompatiblePrinterError(err) {
			return printer, err
		}
	}
	return nil, fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: %s%s",
		format, strings.Join(f.formats(), ","), nearest.DidYouMean(format, f.formats()))
}

// PrintReport prints a report in a machine format. Custom columns get one row
// for each of the report's items, all others the report whole.
func (f *OutputFlags) PrintReport(w io.Writer, report runtime.Object) error {
	printer, err := f.printer()
	if err != nil {
		return err
	}
	if _, ok := printer.(*get.CustomColumnsPrinter); !ok {
		return printer.PrintObj(report, w)
	}
	rows, err := itemsOf(report, f.Items)
	if err != nil {
		return err
	}
	return printer.PrintObj(rows, w)
}

// itemsOf returns a report's list field as a list that kubectl's printers walk through.
func itemsOf(report runtime.Object, field string) (*unstructured.UnstructuredList, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(report)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", report, err)
	}
	items, _, err := unstructured.NestedSlice(content, field)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", report, err)
	}
	rows := &unstructured.UnstructuredList{}
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			rows.Items = append(rows.Items, unstructured.Unstructured{Object: object})
		}
	}
	return rows, nil
}
