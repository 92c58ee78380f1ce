package faults

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synchro.example/shared/subject"
	"synchro.example/tests/fleet"
)

// TestBrokerFilesDamagedBetweenRuns stops everything, damages a file of the broker, and
// starts again: a flipped byte, a cut, a page of zeros, a file that is gone.
func TestBrokerFilesDamagedBetweenRuns(t *testing.T) {
	t.Parallel()
	r := begin(t, 71, fleet.Options{Receivers: 2, Top: reconcileEvery})
	r.blind()
	r.fill(120)
	r.start()
	r.settle(30 * time.Second)
	flip := func(b []byte) []byte { b[len(b)/2] ^= 0x20; return b }
	cut := func(b []byte) []byte { return b[:len(b)*2/3] }
	zeros := func(b []byte) []byte { clear(b[len(b)/3 : len(b)/3+min(4096, len(b)/3)]); return b }
	for _, stream := range []string{channelLog, sourceLog, ledgerOf("s1")} {
		r.damaged(stream, ".blk", "flip", flip)
		r.damaged(stream, ".blk", "cut", cut)
		r.damaged(stream, "index.db", "gone", nil)
		r.damaged(stream, ".blk", "zeros", zeros)
	}
	r.damaged(channelLog, "o.dat", "gone", nil) // where consumers are
	r.clean(time.Minute)
}

// TestBytesFlippedInEachStream flips several bytes in the messages of each kind of stream:
// the broker then refuses to store over them, or says of the stream what is not so.
func TestBytesFlippedInEachStream(t *testing.T) {
	t.Parallel()
	r := begin(t, 74, fleet.Options{Receivers: 2, Top: reconcileEvery})
	r.blind()
	r.fill(120)
	for range 3 {
		_, err := r.source.CreateLarge()
		r.must(err)
	}
	r.start()
	r.settle(30 * time.Second)
	for _, args := range [][]string{{"pause", "--site", "s1", "--reason", "a test"}, {"resume", "--site", "s1", "--reason", "a test"}} {
		out, status, err := r.fleet.Run(r.ctx, args...)
		if err != nil || status != 0 {
			t.Fatal(out, status, err)
		}
	}
	flips := func(b []byte) []byte {
		for i := range 7 {
			b[(2*i+1)*len(b)/14] ^= 0x20
		}
		return b
	}
	for _, stream := range []string{channelLog, sourceLog, ledgerOf("s1"), subject.BlobStream, subject.ControlStream} {
		r.damaged(stream, ".blk", "flips", flips)
	}
	r.clean(time.Minute)
}

// damaged harms the largest file of a stream with a suffix while nobody runs, and waits
// until everything is equal again while the source changes.
func (r *run) damaged(stream, suffix, name string, harm func([]byte) []byte) {
	r.t.Helper()
	r.gather(10, 50)
	r.settle(40 * time.Second)
	r.must(r.fleet.Stop())
	file := r.largest(filepath.Join(r.fleet.BrokerDir(), "jetstream", "$G", "streams", stream), suffix)
	r.hist.Add("fault", name, file, nil)
	r.hist.Count("damages", 1)
	if harm == nil {
		r.must(os.Remove(file))
	} else {
		b, err := os.ReadFile(file)
		r.must(err)
		r.must(os.WriteFile(file, harm(b), 0o640))
	}
	r.must(r.fleet.Start(r.ctx))
	r.gather(10, 50)
	start := time.Now()
	var lines []string
	for range patience {
		lines = r.converge(20 * time.Second)
		if len(lines) == 0 || strings.Contains(r.fleet.Log("broker"), corrupt) {
			break
		}
	}
	if len(lines) > 0 || strings.Contains(r.fleet.Log("broker"), corrupt) {
		r.byHand(stream, lines)
	}
	r.t.Logf("%s of %s in %s: equal after %v", name, suffix, stream, time.Since(start).Round(100*time.Millisecond))
	r.hist.Count("repaired", 1)
}

// corrupt is what the broker says of a stream that it does not get over.
const corrupt = "indexCacheBuf corrupt record state"

// byHand does what an operator can do about a stream that the broker cannot read and does
// not give up: takes its folder away. nats-server 2.15.2 answers nothing more about a
// stream that has zeros in the middle of a message file.
func (r *run) byHand(stream string, lines []string) {
	r.t.Helper()
	if !strings.Contains(r.fleet.Log("broker"), corrupt) {
		r.t.Fatalf("the damage of %s was not repaired:\n%s", stream, strings.Join(lines, "\n"))
	}
	r.hist.Add("note", "by hand", stream, lines)
	r.hist.Count("repaired by hand", 1)
	r.fleet.KillAll()
	r.must(os.Rename(filepath.Join(r.fleet.Dir, "broker.log"), filepath.Join(r.fleet.Dir, stream+"-broker.log")))
	r.must(os.RemoveAll(filepath.Join(r.fleet.BrokerDir(), "jetstream", "$G", "streams", stream)))
	r.must(r.fleet.Start(r.ctx))
	r.settle(40 * time.Second)
}

func (r *run) largest(dir, suffix string) (file string) {
	r.t.Helper()
	var size int64 = -1
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, suffix) {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > size {
			file, size = name, info.Size()
		}
		return err
	})
	r.must(err)
	if file == "" {
		r.t.Fatalf("there is no %s below %s", suffix, dir)
	}
	return file
}

// TestBrokerPutBackFromAnOldCopy restores a stream, and then the whole broker, as it was
// some hundred changes ago.
func TestBrokerPutBackFromAnOldCopy(t *testing.T) {
	t.Parallel()
	r := begin(t, 72, fleet.Options{Receivers: 2, Top: reconcileEvery})
	r.blind()
	r.fill(100)
	r.start()
	r.settle(30 * time.Second)
	for _, what := range []string{ledgerOf("s1"), channelLog, sourceLog, ""} {
		r.must(r.fleet.Stop())
		dir := r.fleet.BrokerDir()
		if what != "" {
			dir = filepath.Join(dir, "jetstream", "$G", "streams", what)
		}
		old := filepath.Join(r.fleet.Dir, "copy-"+fmt.Sprint(r.rnd.Uint32()))
		r.must(exec.CommandContext(r.ctx, "cp", "-a", dir, old).Run())
		r.must(r.fleet.Start(r.ctx))
		r.gather(tier(80, 400), 80)
		r.settle(40 * time.Second)
		r.must(r.fleet.Stop())
		r.hist.Add("fault", "old copy", what, nil)
		r.hist.Count("damages", 1)
		r.must(os.RemoveAll(dir))
		r.must(os.Rename(old, dir))
		r.must(r.fleet.Start(r.ctx))
		r.gather(20, 50)
		r.settle(40 * time.Second)
		r.hist.Count("repaired", 1)
	}
	r.clean(time.Minute)
}

// TestBlobsLostOrDamaged takes chunks away, and damages their file: nobody may get wrong
// bytes, and it must be said.
func TestBlobsLostOrDamaged(t *testing.T) {
	t.Parallel()
	r := begin(t, 73, fleet.Options{Receivers: 1, Top: reconcileEvery})
	r.blind()
	r.fill(20)
	r.start()
	r.settle(30 * time.Second)
	r.must(r.fleet.Stop(fleet.Importer("s1")))
	var large []string
	for range 4 {
		p, err := r.source.CreateLarge()
		r.must(err)
		large = append(large, p)
	}
	r.eventually(30*time.Second, "the chunks are stored", func() bool { return r.objects(subject.BlobStream) >= 4 && r.objects(channelLog) >= r.source.Len() })
	r.purgeStream(subject.BlobStream)
	r.must(r.fleet.Start(r.ctx, fleet.Importer("s1")))
	told := false
	r.eventually(60*time.Second, "the lost chunks are listed or there again", func() bool {
		failed, err := r.fleet.Errors(r.ctx)
		told = told || err == nil && len(failed) == len(large) && failed[0].Code == "blob-missing"
		return told || len(r.differences()) == 0
	})
	for _, p := range large { // as the advice says: written anew, it is stored anew
		r.must(r.source.Edit(p))
	}
	r.settle(40 * time.Second)
	r.hist.Count("repaired", 1)
	r.clean(time.Minute)
}
