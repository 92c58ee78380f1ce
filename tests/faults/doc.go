// Package faults holds the runs that break Synchro on purpose and judge what became of
// the content: docs/reliability.md has the list. It has tests only.
//
//	go test ./tests/faults                     the short tier, some minutes
//	go test ./tests/faults -nightly            the long one
//	go test ./tests/faults -run Killed -seed 7 one run, with a schedule of one's own
//
// A run that fails keeps its folder and says where: the history, the logs of all
// processes, the broker's files, all trees.
package faults
