// Package e2e holds the tests of the whole: they build the programs, run them as
// processes on folders with real content, kill them, give them bad input, and compare
// what arrives. It has no code of its own.
//
// The normal form takes part of Go's own source tree and a few minutes. With
// SYNCHRO_ACCEPTANCE=FILE the tests take the whole tree, kill more often, send larger
// files, and append what they measure to FILE; scripts/acceptance does that.
package e2e
