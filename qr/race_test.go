//go:build race

package qr

// raced tells that the race detector slows everything down tenfold: what only looks at
// many pictures is left to the run without it. make test does both.
const raced = true
