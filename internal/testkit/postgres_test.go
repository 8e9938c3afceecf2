package testkit

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestEachTestGetsADatabaseOfItsOwn(t *testing.T) {
	var urls []string
	t.Run("two databases of one test", func(t *testing.T) {
		urls = append(urls, Database(t), Database(t))
		if urls[0] == urls[1] {
			t.Fatalf("got %s twice", urls[0])
		}
		for _, url := range urls {
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			// Left open on purpose: the clean-up cuts it.
			if _, err := conn.Exec(t.Context(), "CREATE TABLE mine (n int)"); err != nil {
				t.Errorf("database is not empty: %v", err)
			}
		}
	})
	for _, url := range urls {
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("%s is still there after its test", url)
		}
	}
}
