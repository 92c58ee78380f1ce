// Package subject names everything that Synchro keeps in or sends through the
// broker: streams, subjects, consumers and headers. No other package spells such
// a name; docs/protocol.md lists them for readers without the source.
package subject

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// Streams. EXPORT_, IMPORT_ and LEDGER_ are followed by a site's or channel's name.
const (
	exportStream = "EXPORT_"
	importStream = "IMPORT_"
	ledgerStream = "LEDGER_"

	// ErrorStream keeps the newest failure of each object and site.
	ErrorStream = "ERROR"
	// ReplayStream is the work queue of failed changes to be tried again.
	ReplayStream = "REPLAY"
	// ControlStream keeps what people have told running services.
	ControlStream = "CONTROL"
	// BlobStream keeps the chunks of large payloads, one message each.
	BlobStream = "BLOBS"
	// BlobMarkStream keeps which chunks are about to be removed.
	BlobMarkStream = "BLOBS_MARKS"
)

// ExportStream keeps the newest change of each object of a source site.
func ExportStream(site string) string { return exportStream + site }

// ImportStream keeps the newest change of each object of a channel.
func ImportStream(channel string) string { return importStream + channel }

// KeepsEnvelopes tells whether a stream is the log of a source or of a channel, or
// keeps the changes that failed.
func KeepsEnvelopes(stream string) bool {
	return strings.HasPrefix(stream, exportStream) || strings.HasPrefix(stream, importStream) || stream == ErrorStream
}

// LedgerStream keeps, per object, what has taken effect on a receiving site.
func LedgerStream(site string) string { return ledgerStream + site }

const (
	exportToProcess = "synchro.EXPORT.TO_PROCESS."
	exportDone      = "synchro.EXPORT.DONE."
	exportError     = "synchro.EXPORT.ERROR."
	importToProcess = "synchro.IMPORT.TO_PROCESS."
	importProcess   = "synchro.IMPORT.PROCESSING."
	importDone      = "synchro.IMPORT.DONE."
	importError     = "synchro.IMPORT.ERROR."
	importReplay    = "synchro.IMPORT.REPLAY."
	exportReplay    = "synchro.EXPORT.REPLAY."
	exportLease     = "synchro.EXPORT.LEASE."
	importLease     = "synchro.IMPORT.LEASE."
	importHand      = "synchro.IMPORT.HAND."
	blobChunk       = "synchro.BLOB."
	blobCopy        = "-copy"
	blobMark        = "synchro.BLOB_MARK."
	statusOf        = "synchro.STATUS."
	reconcileOf     = "synchro.RECONCILE."
	controlPause    = "synchro.CONTROL.PAUSE."
	controlGuard    = "synchro.CONTROL.GUARD."
	controlIdentity = "synchro.CONTROL.IDENTITY."
	plugin          = "synchro.plugin."

	all = "*"
)

// ExportToProcess carries the newest change of an object, kept in ExportStream.
func ExportToProcess(site, uid string) string { return exportToProcess + site + "." + Token(uid) }

// ExportToProcessAll matches every object of a source site.
func ExportToProcessAll(site string) string { return exportToProcess + site + "." + all }

// ExportDone tells, live and unkept, that the relay has passed a change on.
func ExportDone(site, uid string) string { return exportDone + site + "." + Token(uid) }

// ExportError keeps why an object could not be exported or relayed.
func ExportError(site, uid string) string { return exportError + site + "." + Token(uid) }

// ExportErrorAll matches every failed export of a source site.
func ExportErrorAll(site string) string { return exportError + site + "." + all }

// ImportToProcess carries the newest change of an object of a channel, kept in ImportStream.
func ImportToProcess(channel, uid string) string {
	return importToProcess + channel + "." + Token(uid)
}

// ImportToProcessAll matches every object of a channel.
func ImportToProcessAll(channel string) string { return importToProcess + channel + "." + all }

// ImportDoneEverywhere matches what takes effect on any site.
const ImportDoneEverywhere = importDone + all + "." + all

// DoneSite tells which site a subject of ImportDone is about.
func DoneSite(subj string) (site string, ok bool) {
	rest, found := strings.CutPrefix(subj, importDone)
	site, _, ok = strings.Cut(rest, ".")
	return site, found && ok
}

// ImportProcessing tells, live and unkept, that a site has begun to apply a change.
func ImportProcessing(site, uid string) string { return importProcess + site + "." + Token(uid) }

// ImportProcessingAll matches all that a site begins to apply.
func ImportProcessingAll(site string) string { return importProcess + site + "." + all }

// ImportDone keeps what a site has of an object, in LedgerStream.
func ImportDone(site, uid string) string { return importDone + site + "." + Token(uid) }

// ImportDoneAll matches the whole ledger of a site.
func ImportDoneAll(site string) string { return importDone + site + "." + all }

// ImportError keeps why a site could not apply an object's change, in ErrorStream.
func ImportError(site, uid string) string { return importError + site + "." + Token(uid) }

// ImportErrorAll matches every failure of a site.
func ImportErrorAll(site string) string { return importError + site + "." + all }

// ExportLease says who is the exporter of a source site, in its ExportStream.
func ExportLease(site string) string { return exportLease + site }

// ImportLease says who is the importer of a receiving site, in its LedgerStream.
func ImportLease(site string) string { return importLease + site }

// ImportHand keeps what the importer of a site has in hand, one message for each call of
// the target that may be under way, in LedgerStream.
func ImportHand(site string, call int) string { return importHand + site + "." + strconv.Itoa(call) }

// ImportHandAll matches everything that a site has in hand.
func ImportHandAll(site string) string { return importHand + site + "." + all }

// Of gives the subject of one object, by its token, among those that a subject of many
// matches.
func Of(many, token string) string { return strings.TrimSuffix(many, all) + token }

// HandCall tells which call ImportHand made a subject for.
func HandCall(subj string) (call int, ok bool) {
	rest, found := strings.CutPrefix(subj, importHand)
	if !found {
		return 0, false
	}
	call, err := strconv.Atoi(rest[strings.LastIndexByte(rest, '.')+1:])
	return call, err == nil
}

// IsLedger tells whether a message of a ledger is a line.
func IsLedger(subj string) bool { return strings.HasPrefix(subj, importDone) }

// IsAside tells whether a message of a log or ledger is a lease, or what is in hand, and no
// line of it.
func IsAside(subj string) bool {
	return strings.HasPrefix(subj, exportLease) || strings.HasPrefix(subj, importLease) || strings.HasPrefix(subj, importHand)
}

// IsChange tells whether a message of a log is a change.
func IsChange(subj string) bool {
	return strings.HasPrefix(subj, exportToProcess) || strings.HasPrefix(subj, importToProcess)
}

// ImportReplay asks a site to try an object again, in ReplayStream.
func ImportReplay(site, uid string) string { return importReplay + site + "." + Token(uid) }

// ImportReplayAll matches every replay of a site.
func ImportReplayAll(site string) string { return importReplay + site + "." + all }

// ExportReplay asks the exporter of a source site to read an object again, in ReplayStream.
func ExportReplay(site, uid string) string { return exportReplay + site + "." + Token(uid) }

// ExportReplayAll matches every replay of a source site.
func ExportReplayAll(site string) string { return exportReplay + site + "." + all }

// Blob keeps one chunk, in BlobStream, under the digest of its bytes.
func Blob(digest [sha256.Size]byte) string { return blobChunk + hex.EncodeToString(digest[:]) }

// BlobDigest reads what Blob or BlobCopy wrote.
func BlobDigest(name string) (digest [sha256.Size]byte, ok bool) {
	return digestAfter(blobChunk, strings.TrimSuffix(name, blobCopy))
}

// BlobCopy keeps a chunk whose message under Blob the broker cannot read any more.
func BlobCopy(digest [sha256.Size]byte) string { return Blob(digest) + blobCopy }

// BlobMark keeps, in BlobMarkStream, what a collector means to do with a chunk.
func BlobMark(digest [sha256.Size]byte) string { return blobMark + hex.EncodeToString(digest[:]) }

// BlobMarkDigest reads what BlobMark wrote.
func BlobMarkDigest(name string) (digest [sha256.Size]byte, ok bool) {
	return digestAfter(blobMark, name)
}

func digestAfter(prefix, name string) (digest [sha256.Size]byte, ok bool) {
	text, found := strings.CutPrefix(name, prefix)
	if !found || len(text) != hex.EncodedLen(len(digest)) {
		return digest, false
	}
	_, err := hex.Decode(digest[:], []byte(text))
	return digest, err == nil
}

// ControlPause keeps a pause, under a key of any bytes.
func ControlPause(key string) string { return controlPause + Token(key) }

// ControlGuard keeps the removals of a source site that wait for somebody's word.
func ControlGuard(site string) string { return controlGuard + site }

// ControlIdentity keeps which site answers under the name of one.
func ControlIdentity(site string) string { return controlIdentity + site }

// IsPause tells whether ControlPause made a subject.
func IsPause(subj string) bool { return strings.HasPrefix(subj, controlPause) }

// IsGuard tells whether ControlGuard made a subject.
func IsGuard(subj string) bool { return strings.HasPrefix(subj, controlGuard) }

// IsIdentity tells whether ControlIdentity made a subject.
func IsIdentity(subj string) bool { return strings.HasPrefix(subj, controlIdentity) }

// Status is where the running service of a role answers with its state. The role
// is "exporter", "relay" or "importer", the name that of its site or channel.
func Status(role, name string) string { return statusOf + role + "." + name }

// Reconcile is where the running service of a role is told to compare its hop.
func Reconcile(role, name string) string { return reconcileOf + role + "." + name }

// Plugin is where a program is asked for a side of a plugin: "export", "import" or "locate".
func Plugin(id, side string) string { return plugin + id + "." + side }

// PluginService is the name that such a program has as a micro service of NATS.
func PluginService(id string) string { return "synchro-plugin-" + id }

// PluginPing is where the micro service of a plugin answers that it is there.
func PluginPing(id string) string { return "$SRV.PING." + PluginService(id) }

// Subjects that streams are made with.
var (
	ErrorSubjects    = []string{exportError + ">", importError + ">"}
	ReplaySubjects   = []string{importReplay + ">", exportReplay + ">"}
	BlobSubjects     = []string{blobChunk + all}
	BlobMarkSubjects = []string{blobMark + all}
	ControlSubjects  = []string{controlPause + all, controlGuard + all, controlIdentity + all}
)

// RelayConsumer is the durable consumer of a channel's relay on an ExportStream.
func RelayConsumer(channel string) string { return "relay-" + channel }

// SiteConsumer is the durable consumer of a receiving site, on an ImportStream and
// on the ReplayStream.
func SiteConsumer(site string) string { return "site-" + site }

// SourceConsumer is the durable consumer of a source site on the ReplayStream.
func SourceConsumer(site string) string { return "source-" + site }

// Headers beside an envelope. They repeat what a reader needs who does not want
// the body.
const (
	HeaderVersion     = "Synchro-Version"     // version.Version.String
	HeaderKind        = "Synchro-Kind"        // content.Kind
	HeaderUID         = "Synchro-UID"         // the uid, quoted
	HeaderParent      = "Synchro-Parent"      // the container's uid, quoted
	HeaderName        = "Synchro-Name"        // the last path segment, quoted
	HeaderType        = "Synchro-Type"        // the object's type, quoted
	HeaderDigest      = "Synchro-Digest"      // digest of the payloads, hexadecimal
	HeaderRead        = "Synchro-Read"        // the same before plugins, where it differs; export log only
	HeaderFingerprint = "Synchro-Fingerprint" // the driver's, quoted; export log only
	HeaderIdentity    = "Synchro-Identity"    // the driver's, quoted; export log only
	HeaderBlobs       = "Synchro-Blobs"       // "1" when the body refers to blobs
	HeaderOf          = "Synchro-Of"          // of what the relay made: the source's version in it, or 0
	HeaderOrigin      = "Synchro-Origin"      // site where this version was made, when that is not the log's
	HeaderWithdrawn   = "Synchro-Withdrawn"   // "1" on the removal of what has only left a channel
	HeaderEntry       = "Synchro-Entry"       // an entry of ErrorStream: msgpack, in base64
	HeaderStored      = "Synchro-Stored"      // version of the software that wrote it
	HeaderSignedBy    = "Synchro-Signed-By"   // public nkey of who has signed the message
	HeaderBody        = "Synchro-Body"        // SHA-256 of a signed body, hexadecimal
	HeaderSignature   = "Synchro-Signature"   // over the subject and all other headers of ours

	// HeaderPrefix begins each of them, and no other.
	HeaderPrefix = "Synchro-"
)

// maxToken is the longest uid that stands in a subject as it is.
const maxToken = 64

// Token makes a subject token of a uid: the uid itself when it is made of up to 64
// letters, digits and hyphens, else an underscore and its SHA-256 in base64url.
func Token(uid string) string {
	if plain(uid) {
		return uid
	}
	sum := sha256.Sum256([]byte(uid))
	return "_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func plain(uid string) bool {
	if uid == "" || len(uid) > maxToken {
		return false
	}
	for i := range len(uid) {
		c := uid[i]
		isPlain := '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-'
		if !isPlain {
			return false
		}
	}
	return true
}

// UIDAt gives the uid of what lies on a subject of a log: the one that it claims to have where
// the subject is made of that, else the token, which names it well enough.
func UIDAt(subj, claimed string) string {
	token := subj[strings.LastIndexByte(subj, '.')+1:]
	if Token(claimed) == token {
		return claimed
	}
	return token
}

// Quote makes any bytes fit for a header's value: what is not printable ASCII, and
// the percent sign, becomes %XX.
func Quote(s string) string {
	clean := true
	for i := range len(s) {
		clean = clean && !mustQuote(s[i])
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if mustQuote(s[i]) {
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{s[i]})))
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func mustQuote(c byte) bool { return c <= ' ' || c >= 0x7f || c == '%' }

// Unquote reads what Quote wrote. A percent sign without two digits stands for itself.
func Unquote(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out = append(out, b[0])
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// IsExportError tells the failures of source sites from those of receiving sites.
func IsExportError(subj string) bool { return strings.HasPrefix(subj, exportError) }

// ErrorSite tells which site a subject of ErrorStream is about.
func ErrorSite(subj string) (site string, ok bool) {
	for _, prefix := range []string{importError, exportError} {
		if rest, found := strings.CutPrefix(subj, prefix); found {
			site, _, ok = strings.Cut(rest, ".")
			return site, ok
		}
	}
	return "", false
}
