// Package api is the HTTP surface: what riders' phones, the operator's people and
// programs, and anybody's browser may ask.
//
// A handler parses, calls and writes. What may be done is decided in order; what
// is stored is stored by whatever implements Store; the package owns the shapes
// of requests and answers, who may ask (tokens, keys, roles, limits) and the one
// table that turns errors into problems.
//
// # Invariants
//
//   - Every error leaves as an RFC 9457 problem with a code of the table in
//     problems.go. What the table does not know is a 500 with a fixed sentence;
//     its cause is in the log alone.
//   - Rider and operator routes are separate muxes. An operation that is not in
//     its mux's table of who may ask is refused, so that forgetting one denies.
//   - A rider sees and moves only their own orders; another's is order_unknown.
//   - Each operator's write passes an audit row to what carries it out, so that
//     both are one transaction.
//   - Bytes of an answer under an Idempotency-Key are written as they are stored,
//     never rendered again.
//   - Everything that a caller can make grow (waits, streams, limiters' tables,
//     bodies) has a bound.
//   - Tokens, keys, codes and positions are never logged.
//
// # Words
//
//   - gate: what decides who asks, before an operation runs.
//   - wait: a caller that waits for an order to move, by long poll or stream.
package api
