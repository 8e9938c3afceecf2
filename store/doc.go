// Package store keeps everything that must survive, in Postgres through pgx. It
// implements the interfaces that other packages declare and decides nothing.
//
// # Invariants
//
//   - Apply is one pipelined implicit transaction. Each replaced row carries the
//     version that was loaded; a missed row raises UL001 inside Postgres, which
//     aborts all of it.
//   - Transfers, order moves and audits are only inserted: the application's role
//     has no right to change them and triggers refuse it to anybody.
//   - Constraint names are part of the interface: see errors.go.
//   - SQL is written by hand, next to the method that runs it.
package store
