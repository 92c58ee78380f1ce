// Package stream says how the streams are made: one function for each kind gives
// its configuration, Ensure makes the broker have it. Names and subjects come from
// package subject.
//
// All streams are files and keep the newest message of each subject: a new message
// takes the place of the old one. None throws anything away when it is full: it
// refuses, which the publishers feel as a pause. Without MaxBytes a stream may take
// what the broker has; the broker's own limit bounds all of them together.
package stream

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"synchro.example/shared/subject"
)

const (
	// MaxConsumers bounds the consumers of a stream: receivers, relays, and readers
	// that come and go. It is fixed when the stream is made; without a positive
	// number the broker's own limit holds, which is lower.
	MaxConsumers = 10_000
	// Duplicates is how long a stream remembers message ids. It covers a publisher's
	// own retries after a lost answer; longer would only cost the broker memory
	// (about 150 bytes a message), because versions decide about everything older.
	Duplicates = 5 * time.Second
	// maxChunk is the largest message of the blob store: a chunk and its headers.
	maxChunk = 640 << 10
)

// Option changes the configuration of a stream.
type Option func(*jetstream.StreamConfig)

// Replicas is how many servers of a cluster keep the stream, 1 if not said.
func Replicas(n int) Option {
	return func(c *jetstream.StreamConfig) { c.Replicas = n }
}

// MaxBytes is how many bytes the stream may take on the disk, unlimited if not said.
func MaxBytes(n int64) Option {
	return func(c *jetstream.StreamConfig) { c.MaxBytes = n }
}

func newest(name, description string, subjects []string, opts []Option) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: name, Description: description, Subjects: subjects,
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: 1, MaxConsumers: MaxConsumers, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1,
		Duplicates: Duplicates, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true,
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

// Export is the log of a source site.
func Export(site string, opts ...Option) jetstream.StreamConfig {
	return newest(subject.ExportStream(site), "newest change of each object of a source site",
		[]string{subject.ExportToProcessAll(site), subject.ExportLease(site)}, opts)
}

// Import is the log of a channel.
func Import(channel string, opts ...Option) jetstream.StreamConfig {
	return newest(subject.ImportStream(channel), "newest change of each object of a channel",
		[]string{subject.ImportToProcessAll(channel)}, opts)
}

// Ledger keeps what has taken effect on a receiving site.
func Ledger(site string, opts ...Option) jetstream.StreamConfig {
	return newest(subject.LedgerStream(site), "what a receiving site has of each object",
		[]string{subject.ImportDoneAll(site), subject.ImportLease(site), subject.ImportHandAll(site)}, opts)
}

// Errors keeps the newest failure of each object and site.
func Errors(opts ...Option) jetstream.StreamConfig {
	return newest(subject.ErrorStream, "newest failure of each object and site", subject.ErrorSubjects, opts)
}

// Replay is the work queue of failed changes to be tried again: a message is gone
// when its site has taken it.
func Replay(opts ...Option) jetstream.StreamConfig {
	c := newest(subject.ReplayStream, "failed changes to be tried again", subject.ReplaySubjects, opts)
	c.Retention = jetstream.WorkQueuePolicy
	return c
}

// Control keeps what people have told running services.
func Control(opts ...Option) jetstream.StreamConfig {
	return newest(subject.ControlStream, "what people have told running services", subject.ControlSubjects, opts)
}

// Blobs keeps the chunks of large payloads. What is there stays: a second message of
// one subject is refused, and means that the chunk is stored already.
func Blobs(opts ...Option) jetstream.StreamConfig {
	c := newest(subject.BlobStream, "chunks of large payloads, by SHA-256", subject.BlobSubjects, opts)
	c.DiscardNewPerSubject = true
	c.MaxMsgSize = maxChunk
	c.AllowMsgTTL, c.AllowAtomicPublish = false, false
	return c
}

// BlobMarks keeps what collectors mean to do with chunks. It is read at its leader,
// never at a replica: who has read that there is no mark relies on it.
func BlobMarks(opts ...Option) jetstream.StreamConfig {
	c := newest(subject.BlobMarkStream, "chunks that nothing refers to, about to be removed", subject.BlobMarkSubjects, opts)
	c.AllowDirect, c.AllowMsgTTL = false, false
	return c
}
