package plan

// log takes back what a planner has noted, the last first, as the simulation takes
// back what it has done.
type log struct{ undos []func() }

// set assigns a value until it is taken back.
func set[T any](l *log, at *T, value T) {
	old := *at
	*at = value
	l.undos = append(l.undos, func() { *at = old })
}

// put is set for the entry of a map.
func put[K comparable, V any](l *log, entries map[K]V, key K, value V) {
	old, had := entries[key]
	entries[key] = value
	l.undos = append(l.undos, func() {
		if had {
			entries[key] = old
		} else {
			delete(entries, key)
		}
	})
}

// push appends to the entry of a map until it is taken back.
func push[K comparable, V any](l *log, entries map[K][]V, key K, value V) {
	old := len(entries[key])
	entries[key] = append(entries[key], value)
	l.undos = append(l.undos, func() { entries[key] = entries[key][:old] })
}

// undoTo takes back all but the first n.
func (l *log) undoTo(n int) {
	for i := len(l.undos) - 1; i >= n; i-- {
		l.undos[i]()
	}
	clear(l.undos[n:])
	l.undos = l.undos[:n]
}
