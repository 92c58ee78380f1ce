package content

import (
	"context"
	"io"
	"iter"
)

// Item is one line of a site's listing.
type Item struct {
	// UID is set by drivers whose site has such ids of its own, else empty.
	UID string
	// Path is slash-separated, below the site's root, without a leading slash.
	Path string
	Type string
	// Identity survives a rename and belongs to one object at a time; empty when
	// the site has nothing of the kind.
	Identity string
	// Fingerprint differs when the state may differ. Equal fingerprints mean
	// equal states; comparing them costs no read.
	Fingerprint string
	// Unsettled says that the object is being written now, or cannot be read now:
	// it is not to be read yet, and not to be taken for removed. Nor is anything
	// known below an unsettled container that is not listed: a container that
	// cannot be read hides what it holds.
	Unsettled bool
	// Problem says why an unsettled object cannot be read, where that needs somebody to
	// do something; nil when it is only being written.
	Problem error
	// Handle is the driver's own, handed back in Read.
	Handle any
}

// Part is one payload in the making.
type Part struct {
	Plugin    string
	MediaType string
	Names     []string
	// Size is the expected number of bytes, or -1 when it is not known.
	Size int64
	// Stable says that the bytes are those of an earlier snapshot with the same
	// fingerprint, names and size. Who has those need not read them again.
	Stable bool
	// Body yields the bytes once. The caller reads parts in order and does not
	// close it: Snapshot.Close does.
	Body io.Reader
}

// Snapshot is one object being read.
type Snapshot struct {
	Meta  map[string]any
	Parts []Part
	// Fingerprint is that of the state which was read.
	Fingerprint string
	// Close releases the object and tells whether the parts belong together: a
	// fault with code Unsettled means that it changed while it was read and that
	// nothing of it may be used. The caller calls it once, after the last read.
	Close func() error
}

// Source is a site that content comes from. List and Read may run at the same
// time as each other; Read also several times at once.
//
// Errors are faults (package fault): Unsettled and Vanished for one object,
// SourceMissing (of the whole site) when there is no site to list.
type Source interface {
	// List yields every object, each container before what it holds. An error
	// ends the listing, which is then worth nothing: what was not listed is not
	// removed. Objects that cannot be carried (links, devices) are not yielded;
	// the driver reports each once.
	List(ctx context.Context) iter.Seq2[Item, error]
	// Read opens the state of one listed object.
	Read(ctx context.Context, item Item) (*Snapshot, error)
	// Watch calls hint soon after something may have changed, until ctx ends. It
	// is an accelerator: a missed hint costs time, never a change. It returns nil
	// when ctx ends, and an error when the site cannot be watched.
	Watch(ctx context.Context, hint func()) error
	io.Closer
}

// Prover is a source that can be asked about one object. Before an object is taken for
// removed because a listing lacks it, such a source is asked.
type Prover interface {
	// Gone tells whether the object is not on the site any more, or not to be carried.
	// False and an error both mean that it is not to be taken for removed.
	Gone(ctx context.Context, uid, path string) (bool, error)
}

// Identified is a source or target whose site has an identity of its own, which it keeps
// when its address changes, and which a copy of it has too.
type Identified interface {
	// Identify has known asked about the site's identity whenever the driver is about to
	// believe what the site says. An error of known, a fault of the whole site, ends
	// what was being done. It is called once, before anything else.
	Identify(known func(ctx context.Context, id string) error)
}

// Rememberer is a site that can have more than a change says of an object: then the state
// that stands there is not that of the change, and still right.
type Rememberer interface {
	// AsLeft tells whether a listed object is as the target left it that noted this. False
	// also means that the note does not tell.
	AsLeft(ctx context.Context, item Item, note string) (bool, error)
}

// Note is what a target wants to know again of an object the next time. The importer
// keeps it in the site's ledger.
type Note struct {
	// State is how the target left the object, in words of its own.
	State string
	// Missing are UIDs of objects that the change refers to and that the site had not.
	// When one of them has come, the change is applied once more.
	Missing []string
}

// Op is one change as a target is to carry it out.
type Op struct {
	Change *Change
	// From is the path where the target has the object now, empty when it has not.
	From string
	// To is the path where the object belongs. Empty for a removal. Its container
	// exists, and nothing of another object is in the way.
	To string
	// SameBytes says that the payloads other than PluginContent are those that the
	// target has already, so that they need not be read or written.
	SameBytes bool
	// Repair says that somebody wants the state of the change, whatever others have made
	// of the object on the site.
	Repair bool
	// Found, when set, is asked before a file is touched about what stands at From and at To:
	// its fingerprint, empty for nothing. Its error is the result, and all stays as it is. It
	// is not asked about folders, whose times change with what they hold.
	Found func(path, fingerprint string) error
	// Note is what the target noted the last time; it puts there what is to be kept
	// when the op succeeds. Nil when nobody keeps it.
	Note *Note
	// Open gives the bytes of one payload of Change. They are verified while they
	// are read: a wrong digest is an error from Read before or at the end, so a
	// target makes nothing visible before it has seen io.EOF. The caller closes.
	Open func(ctx context.Context, p *Payload) (io.ReadCloser, error)
	// Applied, when set, is told the fingerprint that List will give the object from now
	// on, by a target that knows it, before Apply returns.
	Applied func(fingerprint string)
}

// Target is a site that content goes to. Apply may be called from several
// goroutines at once, for operations that do not touch one another.
type Target interface {
	// Apply carries out ops that are independent of one another and gives one
	// result for each, in order. A nil result means: it has taken effect wholly,
	// and a power cut now does not undo it. Any other result means that the
	// object stands as it did before. An op that has taken effect before (asked
	// again after a crash) succeeds without writing. A modified container without any
	// payload is made with nothing but its name, or loses all else that it had.
	Apply(ctx context.Context, ops []Op) []error
	// Batch is how many ops one call of Apply should get, at least 1.
	Batch() int
	// List yields what stands on the site, as Source.List does.
	List(ctx context.Context) iter.Seq2[Item, error]
	io.Closer
}

// Waiter is a target whose changes take effect when somebody else acts, at a time of
// their own: its calls of Apply wait for that.
type Waiter interface {
	// Waiting counts the ops that only wait.
	Waiting() int
	// Release makes them return a fault of the whole site. Asked again, each goes on
	// waiting where it was.
	Release()
}

// Discarder is a target that shows failed changes to people who look at it.
type Discarder interface {
	// Discard takes that of an object away, which somebody has given up.
	Discard(uid string) error
}
