package plugin

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"synchro.example/shared/blob"
	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/broker/embedded"
	"synchro.example/shared/config"
	"synchro.example/shared/subject"
)

// BenchmarkCalls asks a program about changes of 1 KiB and of 128 KiB, as many at the same
// time as an importer does. The one in Go leaves them as they are; the one in Python is
// image_names.py of the examples, for which python3 must have nats-py.
func BenchmarkCalls(b *testing.B) {
	s := brokertest.StartWith(b, embedded.Options{NoSync: true, Listen: "127.0.0.1:0"})
	nc := brokertest.Connect(b, s)
	answerInGo(b, nc, "in-go")
	languages := []struct{ id, format string }{{"in-go", config.FormatMsgpack}, {"in-go", config.FormatJSON}}
	if exec.CommandContext(b.Context(), "python3", "-c", "import nats").Run() == nil {
		answerInPython(b, s.URL())
		languages = append(languages, struct{ id, format string }{"image-names", config.FormatJSON})
	}
	for _, l := range languages {
		set := Open("paris", []config.Plugin{entry(l.id, func(p *config.Plugin) { p.Format = l.format })}, nc, blob.New(brokertest.JetStream(b, nc)))
		for end := time.Now().Add(time.Minute); !set.steps[0].caller.(*remote).ping(b.Context()) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		for _, size := range []int{1 << 10, 128 << 10} {
			b.Run(fmt.Sprintf("%s/%s/%dKiB", l.id, l.format, size>>10), func(b *testing.B) { callMany(b, set, size) })
		}
	}
}

func callMany(b *testing.B, set *Set, size int) {
	op := opOf(change(payload("content", "application/json", []byte("{}")), payload("fss", "text/html", make([]byte, size))))
	b.SetParallelism(maxCalls)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := set.Before(b.Context(), "public", op); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func answerInGo(b *testing.B, nc *nats.Conn, id string) {
	b.Helper()
	s, err := micro.AddService(nc, micro.Config{Name: subject.PluginService(id), Version: "1.0.0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Stop() })
	fine := micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(nil) })
	if err := s.AddEndpoint("import", fine, micro.WithEndpointSubject(subject.Plugin(id, "import"))); err != nil {
		b.Fatal(err)
	}
}

func answerInPython(b *testing.B, url string) {
	b.Helper()
	program := exec.CommandContext(b.Context(), "python3", "../../examples/plugins/python/image_names.py", "--server", url)
	program.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if err := program.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = program.Process.Kill(), program.Wait() })
}
