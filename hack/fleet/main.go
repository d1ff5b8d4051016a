package main

import (
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func write() error {
	f := &fleet{now: time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)}
	f.namespaces()
	f.machines()
	f.services()
	f.shortages()
	f.constraints()
	f.volumes()
	f.outsideTheScheduler()
	f.disruptions()
	if err := f.groups(); err != nil {
		return err
	}

	snap := build.Snapshot(f.objects...)
	snap.ServerVersion = "v1.37.1"
	snap.TakenAt = metav1.NewTime(f.now)
	return snapshot.Write(os.Stdout, snap, snapshot.Format{})
}
