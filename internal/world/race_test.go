//go:build race

package world

// raced tells that the race detector slows everything down tenfold: what counts over many
// schedules is left to the run without it. make test does both.
const raced = true
