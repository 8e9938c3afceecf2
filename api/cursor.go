package api

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// PageQuery asks for one page of a list.
type PageQuery struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

// after returns the id at which the page before ended, "" for the first page. A
// cursor is opaque to callers, so that what it holds may change.
func (q PageQuery) after() (string, error) {
	if q.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	id, ok := strings.CutPrefix(string(raw), "1:")
	if err != nil || !ok || id == "" || strings.Trim(id, idLetters) != "" {
		return "", fmt.Errorf("cursor %q: %w", q.Cursor, errCursor)
	}
	return id, nil
}

const idLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// cut takes the page off rows, of which one more than the limit was asked for,
// and returns the cursor of the next page, "" when there is none.
func cut[T any](rows []T, limit int, id func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, base64.RawURLEncoding.EncodeToString([]byte("1:" + id(rows[limit-1])))
}
