package nearest

import "testing"

func TestOf(t *testing.T) {
	candidates := []string{"ai", "cj", "limits.cpu", "requests.cpu"}
	for name, want := range map[string]string{
		"ia": "ai", "limit.cpu": "limits.cpu", "request.cpu": "requests.cpu", "x": "", "xy": "", "": "", "memory": "",
	} {
		if got := Of(name, candidates); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
