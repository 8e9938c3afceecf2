package store

import (
	"fmt"
	"strings"
)

// filter builds a WHERE clause of what a list was asked for, and no more: plans
// are made once per text (see Open), so "no filter" must be another text and not
// a parameter.
type filter struct {
	conditions []string
	args       []any
}

// when adds a condition, with %s for its parameter, if wanted.
func (f *filter) when(wanted bool, condition string, arg any) {
	if !wanted {
		return
	}
	f.args = append(f.args, arg)
	f.conditions = append(f.conditions, fmt.Sprintf(condition, fmt.Sprintf("$%d", len(f.args))))
}

// sql is the clause, "" without conditions, and its LIMIT.
func (f *filter) sql(order string, limit int) string {
	var b strings.Builder
	for i, c := range f.conditions {
		b.WriteString([]string{" WHERE ", " AND "}[min(i, 1)])
		b.WriteString(c)
	}
	f.args = append(f.args, limit)
	fmt.Fprintf(&b, " ORDER BY %s LIMIT $%d", order, len(f.args))
	return b.String()
}
