package api

import (
	"slices"
	"testing"
)

// TestEveryOperationKeepsToVenues: each operation of staff has a line in scopes, with a
// place that its request really has, and no line is left of what is gone.
func TestEveryOperationKeepsToVenues(t *testing.T) {
	var all []string
	for id := range leastRole {
		all = append(all, id)
		line, listed := scopes[id]
		if !listed {
			t.Errorf("%s has no line in scopes.go", id)
		}
		if (leastRole[id] == anybody) != (line.how == scopeOpen) {
			t.Errorf("%s: open to anybody in one of roles.go and scopes.go, and not in the other", id)
		}
	}
	for id := range scopes {
		if !slices.Contains(all, id) {
			t.Errorf("%s has a line in scopes.go and none in roles.go", id)
		}
	}
}
