package subject

import (
	"os"
	"strings"
	"testing"
)

func TestEachNameIsInTheProtocol(t *testing.T) {
	b, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, name := range []string{
		exportStream + "<site>", importStream + "<channel>", ledgerStream + "<site>", ErrorStream, ReplayStream, BlobStream,
		exportToProcess + "<site>.*", exportLease + "<site>", importToProcess + "<channel>.*", importDone + "<site>.*",
		importLease + "<site>", ErrorSubjects[0], ErrorSubjects[1], ReplaySubjects[0], ReplaySubjects[1], BlobSubjects[0],
		exportDone + "<site>.<token>", importProcess + "<site>.<token>", importError + "<site>.<token>",
		importReplay + "<site>.<token>", exportReplay + "<site>.<token>", exportError + "<site>.<token>", statusOf + "<role>.<name>", RelayConsumer("<channel>"), SiteConsumer("<site>"),
		HeaderVersion, HeaderKind, HeaderUID, HeaderParent, HeaderName, HeaderType, HeaderDigest, HeaderFingerprint,
		HeaderIdentity, HeaderBlobs, HeaderOf, HeaderEntry,
	} {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/protocol.md lacks %s", name)
		}
	}
}
