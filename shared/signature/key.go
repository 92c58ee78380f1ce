package signature

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"synchro.example/shared/fault"
	"synchro.example/shared/subject"
)

// Key signs messages. A nil key signs nothing.
type Key struct {
	public  string
	private ed25519.PrivateKey
}

// encoding of signatures; strict, so that each has one text.
var encoding = base64.RawURLEncoding.Strict()

// maxFile is more than a file with a seed has.
const maxFile = 4 << 10

// Load reads the key whose seed a file holds, nil when no file is named. Others must not be
// able to read the file.
func Load(file string) (*Key, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, unusable("read the signing key: %w; `synchro keys new FILE` makes one", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unusable("read the signing key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, unusable("the signing key %s is open to everybody on this machine (mode %#o); `chmod 600 %s` closes it", file, info.Mode().Perm(), file)
	}
	seed, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, unusable("read the signing key: %w", err)
	}
	key, err := parse(bytes.TrimSpace(seed))
	if err != nil {
		return nil, unusable("%s holds no seed of a user's nkey (SU…): %w", file, err)
	}
	return key, nil
}

// ForSite loads the key that signs what a site sends. It is among those that readers believe,
// where the configuration names any. An error says that who is to sign cannot, but may read.
func ForSite(site, file string, signedBy []string) (*Key, error) {
	return among("sites."+site, file, signedBy)
}

// ForChannel is ForSite for what a relay puts into the log of a channel.
func ForChannel(channel, file string, signedBy []string) (*Key, error) {
	return among("channels."+channel, file, signedBy)
}

func among(what, file string, signedBy []string) (*Key, error) {
	k, err := Load(file)
	switch {
	case err != nil || len(signedBy) == 0:
		return k, err
	case k == nil:
		return nil, unusable("%[1]s.signed_by asks for a signature, and this process has no key; name its file in %[1]s.sign", what)
	case slices.Contains(signedBy, k.public):
		return k, nil
	}
	return nil, unusable("%s.signed_by lacks %s, the key of %s.sign: nobody would believe what it signs", what, k.public, what)
}

func unusable(format string, args ...any) error {
	return fault.Errorf(fault.Stop, fault.Misconfigured, format, args...)
}

func parse(seed []byte) (*Key, error) {
	kind, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, err
	}
	if kind != nkeys.PrefixByteUser {
		return nil, errors.New("it is the seed of another kind of nkey")
	}
	private := ed25519.NewKeyFromSeed(raw)
	public, err := nkeys.Encode(nkeys.PrefixByteUser, private.Public().(ed25519.PublicKey))
	return &Key{string(public), private}, err
}

// Create writes the seed of a new key into a file that must not be there, for its owner's eyes
// only.
func Create(file string) (*Key, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, unusable("%s is there already and is left as it is; name another file", file)
	}
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	_, err = f.Write(append(seed, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	return parse(seed)
}

// Public is what others know the key by.
func (k *Key) Public() string { return k.public }

// Sign signs a message as one of a subject, which need not be its own: who passes it on gives
// it another one. It is the last thing that is done to its headers and body.
func (k *Key) Sign(subj string, m *nats.Msg) error {
	if k == nil {
		return nil
	}
	m.Header.Set(subject.HeaderSignedBy, k.public)
	m.Header.Set(subject.HeaderBody, bodyDigest(m.Data))
	said, err := text(subj, m.Header)
	if err != nil {
		return fmt.Errorf("sign %s: %w", subj, err)
	}
	m.Header.Set(subject.HeaderSignature, encoding.EncodeToString(ed25519.Sign(k.private, said)))
	return nil
}

// IsPublic tells whether a text is the public half of a key.
func IsPublic(s string) bool { return nkeys.IsValidPublicUserKey(s) }
