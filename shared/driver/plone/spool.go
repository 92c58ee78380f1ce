package plone

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// spooled are the bytes of one file, whole and right, before any of them is sent: in
// memory when they are few, else in a file without a name.
type spooled struct {
	small []byte
	large *os.File
	size  int64
}

// spool reads the bytes of a field, once.
func (w *work) spool(ctx context.Context, field string) (*spooled, error) {
	if s := w.spooled[field]; s != nil {
		return s, nil
	}
	p := w.want.payloads[field]
	if p.Size == 0 {
		return nil, fault.Errorf(fault.Park, fault.Unsupported, "place %q: the file in %s is empty, and Plone holds no empty files", w.op.To, field)
	}
	r, err := w.op.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	s, err := readIn(r, p)
	if err != nil {
		return nil, err
	}
	w.spooled[field] = s
	return s, nil
}

func (w *work) spoolAll(ctx context.Context) error {
	for field := range w.want.Files {
		if _, err := w.spool(ctx, field); err != nil {
			return err
		}
	}
	return nil
}

func readIn(r io.Reader, p *content.Payload) (*spooled, error) {
	s := &spooled{}
	var to io.Writer
	var small bytes.Buffer
	if to = &small; p.Size > inlineLimit {
		f, err := tempFile()
		if err != nil {
			return nil, err
		}
		to, s.large = f, f
	}
	n, err := io.Copy(to, io.LimitReader(r, p.Size+1))
	if err == nil && n != p.Size {
		err = fault.New(fault.Park, fault.BlobDamaged, fmt.Errorf("got %d bytes of %d", n, p.Size))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.small, s.size = small.Bytes(), n
	return s, nil
}

// tempFile makes a file without a name: it goes when it is closed.
func tempFile() (*os.File, error) {
	f, err := os.CreateTemp("", "synchro-plone-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *spooled) bytes() ([]byte, error) { return s.small, nil }

// section gives some of the bytes.
func (s *spooled) section(from, n int64) io.Reader {
	if s.large != nil {
		return io.NewSectionReader(s.large, from, n)
	}
	return bytes.NewReader(s.small[from : from+n])
}

func (s *spooled) close() {
	if s.large != nil {
		_ = s.large.Close()
	}
}

// drop forgets the bytes of a work.
func (w *work) drop() {
	for _, s := range w.spooled {
		s.close()
	}
}

// hasFile tells whether the site has the right bytes. They are read where size, name and
// type do not tell otherwise and the ledger does not know.
func (w *work) hasFile(ctx context.Context, at, field string, have *state) (bool, error) {
	if there, ok := have.Files[field]; !ok || there != w.want.Files[field] {
		return false, nil
	}
	if w.op.SameBytes {
		return true, nil
	}
	return w.sameBytes(ctx, at, field)
}

func (w *work) sameBytes(ctx context.Context, at, field string) (bool, error) {
	r, err := w.download(ctx, at, field, w.want.Files[field])
	if err != nil {
		return false, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return false, fault.OfSite(fault.Retry, w.down, fmt.Errorf("read the bytes of /%s: %w", at, err))
	}
	return content.Digest(h.Sum(nil)) == w.want.payloads[field].SHA256, nil
}
