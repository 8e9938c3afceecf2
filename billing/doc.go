// Package billing holds money: Fen, tariffs, quotes and the rules of the ledger.
//
// It is pure: integers in, integers out, no clock, no database. A quote is a
// function of a tariff version and of what the evidence measured; computing it
// again gives the same bytes.
//
// # Invariants
//
//   - Money is int64 Fen, hundredths of a yuan; nothing is ever a float.
//   - A transfer moves one positive amount from one account to another, so the
//     sum over all accounts is zero by construction.
//   - A hold resolves once: captured in part or whole, or voided.
//   - Only riders' accounts have a limit and therefore a balance; the operator's
//     accounts are the sum of their transfers.
package billing
