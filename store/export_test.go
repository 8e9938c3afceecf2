package store

import "context"

// Migrations are the files of all of them.
var Migrations = migrations

// MigrateAgain runs single migrations once more, as after one that broke off.
func MigrateAgain(ctx context.Context, url string, versions ...int64) error {
	p, done, err := provider(url)
	if err != nil {
		return err
	}
	defer done()
	for _, version := range versions {
		if err := once(ctx, url, "forget a migration", `DELETE FROM goose_db_version WHERE version_id = $1`, version); err != nil {
			return err
		}
		if err := patiently(ctx, func() error { _, err := p.ApplyVersion(ctx, version, true); return err }); err != nil {
			return err
		}
	}
	return nil
}
