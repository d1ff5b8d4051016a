package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const hello = `package main

import "fmt"

func main() { fmt.Print("hello") }
`

// TestImage writes an image of a small binary, and runs what is in it.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(hello), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	oci, archive := filepath.Join(dir, "layout"), filepath.Join(dir, "out", "image.tar")
	platform := "linux/" + runtime.GOARCH
	if err := write("example.org/hello:v1", oci, archive, []string{platform + "=" + program, "linux/riscv64=" + program}); err != nil {
		t.Fatal(err)
	}

	index, err := layout.ImageIndexFromPath(oci)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("the layout: %v", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 || manifest.Manifests[0].Platform.String() != platform || manifest.Manifests[1].Platform.String() != "linux/riscv64" {
		t.Errorf("the layout's manifests: %+v", manifest.Manifests)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	run(t, image)

	image, err = tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Errorf("the archive: %v", err)
	}
	run(t, image)
}

// run runs the image's entry point, and checks that nobody else's rights are needed.
func run(t *testing.T, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != user {
		t.Errorf("runs as %q, want %q", config.Config.User, user)
	}
	root := t.TempDir()
	content := mutate.Extract(image)
	defer content.Close()
	for files := tar.NewReader(content); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(filepath.Join(root, header.Name), os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(file, files); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(filepath.Join(root, config.Config.Entrypoint[0])).Output()
	if err != nil || string(out) != "hello" {
		t.Errorf("got %q and %v, want hello", out, err)
	}
}

// TestPack wants a whole archive: Go reads one that is cut short, tar does not.
func TestPack(t *testing.T) {
	files, err := pack([]byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	const block = 512
	if want := 2*block + 2*block; len(files) != want || !bytes.Equal(files[2*block:], make([]byte, 2*block)) {
		t.Errorf("%d bytes, want a header, a block and two empty blocks: %d", len(files), want)
	}
}

// TestWrongArguments names the argument.
func TestWrongArguments(t *testing.T) {
	for _, test := range []struct {
		tag      string
		binaries []string
		want     string
	}{
		{"", []string{"linux/amd64=b"}, "want -tag NAME:TAG -layout DIR -archive FILE PLATFORM=BINARY..."},
		{"a:b", []string{"b"}, "-tag: repository must be between 2 and 255 characters in length: a"},
		{"m/n:b", nil, "want -tag NAME:TAG -layout DIR -archive FILE PLATFORM=BINARY..."},
		{"m/n:b", []string{"b"}, "b: want PLATFORM=BINARY"},
		{"m/n:b", []string{"linux/amd64=absent"}, "linux/amd64=absent: open absent: no such file or directory"},
	} {
		if err := write(test.tag, t.TempDir(), filepath.Join(t.TempDir(), "a"), test.binaries); err == nil || err.Error() != test.want {
			t.Errorf("%q %v: got %v, want %s", test.tag, test.binaries, err, test.want)
		}
	}
}
