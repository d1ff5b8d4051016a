package cli

import (
	"context"
	"io"
	"slices"

	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Changes is a cluster that is watched.
type Changes struct {
	stream *load.Stream
	errOut io.Writer
	said   []string
}

// Watch loads the cluster as LoadAny does, and watches it until ctx ends: what changes of
// these resources ("pods") makes Next return.
func (f *SourceFlags) Watch(ctx context.Context, env Env, wake ...string) (*Changes, error) {
	progress := env.Progress()
	defer progress.Clear()
	config, opts, err := f.options(env, progress)
	if err != nil {
		return nil, err
	}
	stream, err := load.Watch(ctx, config, load.WatchOptions{Options: opts, Wake: wake})
	if err != nil {
		return nil, err
	}
	return &Changes{stream: stream, errOut: env.ErrOut}, nil
}

// Next returns the cluster as it is, and at each later call as it is when one of the
// resources has changed since, or ctx's error. It warns once of each kind whose changes
// cannot be seen.
func (c *Changes) Next(ctx context.Context) (*snapshot.Snapshot, error) {
	snap, err := c.stream.Next(ctx)
	for _, note := range c.stream.Notes() {
		if !slices.Contains(c.said, note) {
			c.said = append(c.said, note)
			Warn(c.errOut, []string{note})
		}
	}
	return snap, err
}
