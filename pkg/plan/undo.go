package plan

// undo is a list of what takes back what a planner has noted, the last first, as the
// simulation takes back what it has done.
type undo struct{ steps []func() }

// set assigns a value until it is taken back.
func set[T any](u *undo, at *T, value T) {
	old := *at
	*at = value
	u.steps = append(u.steps, func() { *at = old })
}

// put is set for the entry of a map.
func put[K comparable, V any](u *undo, entries map[K]V, key K, value V) {
	old, had := entries[key]
	entries[key] = value
	u.steps = append(u.steps, func() {
		if had {
			entries[key] = old
		} else {
			delete(entries, key)
		}
	})
}

// push appends to the entry of a map until it is taken back.
func push[K comparable, V any](u *undo, entries map[K][]V, key K, value V) {
	old := len(entries[key])
	entries[key] = append(entries[key], value)
	u.steps = append(u.steps, func() { entries[key] = entries[key][:old] })
}

// backTo takes back all but the first n.
func (u *undo) backTo(n int) {
	for i := len(u.steps) - 1; i >= n; i-- {
		u.steps[i]()
	}
	clear(u.steps[n:])
	u.steps = u.steps[:n]
}
