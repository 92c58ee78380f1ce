package bridge

import (
	"context"
	"errors"
	"time"

	"synchro.example/services/bridge/census"
	"synchro.example/services/bridge/queue"
	"synchro.example/shared/lifecycle"
	"synchro.example/shared/service"
	"synchro.example/shared/status"
)

// maxOdd bounds how many odd files are told to whoever asks.
const maxOdd = 20

// Census tells whoever asks what lies in a configured queue.
func Census(env *service.Env, site string) lifecycle.Part {
	path := env.Config.Sites[site].Queue.Path
	run := func(soft, _ context.Context) error {
		stop, err := status.Serve(env.NC, status.Queue, site, func() status.Report { return count(path) })
		if err != nil {
			return err
		}
		<-soft.Done()
		stop()
		return nil
	}
	return lifecycle.Part{Name: status.Queue + " " + site, Run: run}
}

// count looks into a queue.
func count(path string) status.Report {
	q, err := queue.Open(path)
	if err != nil {
		return status.Report{State: status.Paused, Reason: err.Error()}
	}
	defer q.Close()
	r := status.Report{State: status.Running}
	r.Folders, err = census.Count(q)
	for _, side := range []queue.Side{queue.Export, queue.Import} {
		odd, failed := census.Find(q, side, time.Now())
		err = errors.Join(err, failed)
		for _, o := range odd[:min(len(odd), maxOdd-len(r.Odd))] {
			r.Odd = append(r.Odd, o.String())
		}
	}
	if err != nil {
		r.State, r.Reason = status.Paused, err.Error()
	}
	return r
}
