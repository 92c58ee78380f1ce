package bridge

import (
	"synchro.example/services/bridge/queue"
	"synchro.example/shared/config"
	"synchro.example/shared/fault"
	"synchro.example/shared/preflight"
)

// Check looks whether a configured queue can be served. It writes nothing: a file more would
// disturb the classic importer.
func Check(site string, s config.Site) (r preflight.Report) {
	if err := queue.Valid(s.Queue.Path); err != nil {
		r.Fail("queue", "Make one with `synchro queue create -d "+s.Queue.Path+"`, or mount what belongs there.", "%v", err)
	} else {
		r.Good("queue", "%s has all its folders", s.Queue.Path)
	}
	if _, err := list(site, s, nil); err != nil {
		r.Fail("globals", fault.Advice(fault.Misconfigured), "%v", err)
	}
	return r
}
