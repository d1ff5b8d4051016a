package fleet

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Files of Alibaba's cluster-trace-gpu-v2023, "openb" (Weng et al., "Beware of Fragmentation", USENIX ATC 2023).
const (
	openBNodes = "openb_node_list_all_node.csv"
	// OpenBDefault lists 8,152 tasks, none of which names a GPU model.
	OpenBDefault = "openb_pod_list_default.csv"
	// OpenBGPUSpec20 lists the same tasks, a fifth of those with GPUs bound to models.
	OpenBGPUSpec20 = "openb_pod_list_gpuspec20.csv"
)

// OpenBNamespace is the namespace of the trace's pods.
const OpenBNamespace = "openb"

// ErrNoTrace says that the trace is not on this machine. It is not part of the repository, so a test that needs
// it skips with this reason.
var ErrNoTrace = errors.New("the openb trace is not here; set OPENB_DIR to the directory of its CSV files")

// OpenBDir returns where the trace is: $OPENB_DIR, else ../shared/data beside the repository at root.
func OpenBDir(root string) string {
	if dir := os.Getenv("OPENB_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(root, "..", "shared", "data")
}

// OpenB reads the trace in dir: its 1,523 nodes and, in the order of creation, the tasks of podList as bare pods.
// A task asks for whole GPUs (num_gpu); the share of one that the trace knows (gpu_milli) has no native resource.
// No pod is bound. The error is ErrNoTrace when the files are not there.
func OpenB(dir, podList string) (*Fleet, error) {
	f := &Fleet{Namespaces: newNamespaces([]string{OpenBNamespace})}
	nodes, err := readTable(filepath.Join(dir, openBNodes))
	if err != nil {
		return nil, err
	}
	for _, r := range nodes {
		f.Nodes = append(f.Nodes, openBNode(r))
	}
	tasks, err := readTable(filepath.Join(dir, podList))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(tasks, func(a, b *row) int { return cmp.Compare(a.number("creation_time"), b.number("creation_time")) })
	for i, r := range tasks {
		f.Pods = append(f.Pods, openBPod(r, i))
	}
	if err := errors.Join(failures(nodes), failures(tasks)); err != nil {
		return nil, err
	}
	return f, nil
}

func openBNode(r *row) *corev1.Node {
	labels := modelLabels(r.text("model"))
	if labels == nil {
		labels = map[string]string{}
	}
	capacity := resources(r.number("cpu_milli"), r.number("memory_mib"), r.number("gpu"), nodePods)
	return newNode(r.text("sn"), capacity, labels, nil)
}

func openBPod(r *row, n int) *corev1.Pod {
	requests := resources(r.number("cpu_milli"), r.number("memory_mib"), r.number("num_gpu"), 0)
	spec := newPodSpec(newContainer(requests), nil, models(r.text("gpu_spec")))
	return newPod(OpenBNamespace, r.text("name"), n, map[string]string{"app": "openb", "openb/qos": r.text("qos")}, spec)
}

// models parses gpu_spec, as in "V100M16|V100M32"; the trace names some twice.
func models(spec string) []string {
	if spec == "" {
		return nil
	}
	names := strings.Split(spec, "|")
	slices.Sort(names)
	return slices.Compact(names)
}

// row is one record of a table. The first cell that cannot be read is its failure.
type row struct {
	file  string
	line  int
	cells map[string]string
	err   error
}

// readTable reads a CSV file with a header.
func readTable(path string) ([]*row, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoTrace)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%s: expected a header line", path)
	}
	rows := make([]*row, 0, len(records)-1)
	for i, record := range records[1:] {
		r := &row{file: path, line: i + 2, cells: make(map[string]string, len(record))}
		for column, name := range records[0] {
			r.cells[name] = record[column]
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// text returns a cell.
func (r *row) text(column string) string {
	cell, ok := r.cells[column]
	if !ok {
		r.fail(column, "no such column")
	}
	return cell
}

// number returns a cell that holds a whole number, 0 or more.
func (r *row) number(column string) int64 {
	cell := r.text(column)
	n, err := strconv.ParseInt(cell, 10, 64)
	if err != nil || n < 0 {
		r.fail(column, fmt.Sprintf("%q: expected a whole number, 0 or more", cell))
	}
	return n
}

func (r *row) fail(column, reason string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s:%d: column %s: %s", r.file, r.line, column, reason)
	}
}

// failures returns the first failure among rows.
func failures(rows []*row) error {
	for _, r := range rows {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
