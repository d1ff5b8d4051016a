// Command image writes a container image of static binaries, without a registry
// and without a daemon: an OCI layout with an image for each platform, and an
// archive of the first for `ctr images import` and `docker load`.
//
//	image -tag NAME:TAG -layout DIR -archive FILE linux/amd64=BINARY...
//
// The image holds the binary alone, and runs it as a user without rights. The same
// binaries give the same image, byte for byte.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// binary is the path of the binary in the image, user whom it runs as.
const (
	binary = "/stowage-manager"
	user   = "65532:65532"
)

func main() {
	tag := flag.String("tag", "", "name and tag of the image")
	dir := flag.String("layout", "", "directory of the OCI layout, which is made anew")
	archive := flag.String("archive", "", "file of the archive")
	flag.Parse()
	if err := write(*tag, *dir, *archive, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write writes the layout and the archive of the binaries, PLATFORM=PATH each.
func write(tag, dir, archive string, binaries []string) error {
	if tag == "" || dir == "" || archive == "" || len(binaries) == 0 {
		return errors.New("expected -tag NAME:TAG -layout DIR -archive FILE PLATFORM=BINARY...")
	}
	reference, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("-tag: %w", err)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var first v1.Image
	for _, argument := range binaries {
		image, platform, err := build(argument)
		if err != nil {
			return fmt.Errorf("%s: %w", argument, err)
		}
		if first == nil {
			first = image
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image,
			Descriptor: v1.Descriptor{
				Platform:    platform,
				Annotations: map[string]string{"org.opencontainers.image.ref.name": reference.Name()},
			},
		})
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := layout.Write(dir, index); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	return tarball.WriteToFile(archive, reference, first)
}

// build makes the image of one binary, PLATFORM=PATH.
func build(argument string) (v1.Image, *v1.Platform, error) {
	target, path, ok := strings.Cut(argument, "=")
	if !ok {
		return nil, nil, errors.New("expected PLATFORM=BINARY")
	}
	platform, err := v1.ParsePlatform(target)
	if err != nil {
		return nil, nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	files, err := pack(content)
	if err != nil {
		return nil, nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{CreatedBy: "make image", Created: v1.Time{Time: time.Unix(0, 0)}},
	})
	if err != nil {
		return nil, nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config = v1.Config{User: user, Entrypoint: []string{binary}, WorkingDir: "/"}
	image, err = mutate.ConfigFile(image, config)
	return image, platform, err
}

// pack is a tar of the binary, in its place.
func pack(content []byte) ([]byte, error) {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{
		Name: strings.TrimPrefix(binary, "/"), Mode: 0o555, Size: int64(len(content)), ModTime: time.Unix(0, 0),
	}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // writes the end of the archive
		return nil, err
	}
	return files.Bytes(), nil
}
