//go:build race

package e2e

// The programs get the race detector where the tests have it.
func init() {
	buildFlags = append(buildFlags, "-race")
	memoryBound *= 6
}
