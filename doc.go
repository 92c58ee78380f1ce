// Package workspace is the root of the repository. It has no code of its own; its
// tests check what no single module can: that all modules are listed, agree on
// versions and build alone, and that names of the broker are spelled in one place.
//
// At the root "go test ./..." runs these checks only. "go test work" runs the tests
// of every module, and scripts/test those and everything else.
package workspace
