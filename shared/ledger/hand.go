package ledger

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/vmihailenco/msgpack/v5"

	"synchro.example/shared/changelog"
	"synchro.example/shared/content"
	"synchro.example/shared/subject"
)

// Hand is a line as the ledger will have it when a call of the target that is about to be
// made has succeeded, with the path where the object will stand then, empty for a removal.
// It tells after a crash what may have taken effect although no line says so.
type Hand struct {
	Entry Entry  `msgpack:"entry"`
	Path  string `msgpack:"path"`
	// Content is the digest of the payloads without their names: an object that has left its
	// place for a moment is not called what its payloads say.
	Content content.Digest `msgpack:"content"`
}

// parseHands reads what HandMessage wrote; what cannot be read says nothing.
func parseHands(body []byte) (hands []Hand) {
	if msgpack.Unmarshal(body, &hands) != nil {
		return nil
	}
	return hands
}

// HandMessage makes the message that keeps what one call has in hand, in the place of what
// the call of that number had before.
func HandMessage(site string, call int, hands []Hand) (*nats.Msg, error) {
	body, err := msgpack.Marshal(hands)
	if err != nil {
		return nil, fmt.Errorf("keep what is in hand: %w", err)
	}
	m := nats.NewMsg(subject.ImportHand(site, call))
	m.Data = body
	m.Header.Set(nats.MsgIdHdr, nuid.Next())
	return m, nil
}

// Hands gives all that a site has, or had, in hand, by the number of the call.
func Hands(ctx context.Context, js jetstream.JetStream, site string) (map[int][]Hand, error) {
	all := map[int][]Hand{}
	o := changelog.Options{Subjects: subject.ImportHandAll(site)}
	err := changelog.Scan(ctx, js, subject.LedgerStream(site), o, func(m jetstream.Msg) error {
		call, ok := subject.HandCall(m.Subject())
		if hands := parseHands(m.Data()); ok && len(hands) > 0 {
			all[call] = hands
		}
		return nil
	})
	return all, err
}
