package contenttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// Apply carries out ops as content.Target says.
func (s *Site) Apply(ctx context.Context, ops []content.Op) []error {
	errs := make([]error, len(ops))
	for i, op := range ops {
		errs[i] = s.applyOne(ctx, op)
	}
	return errs
}

func (s *Site) applyOne(ctx context.Context, op content.Op) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	if s.OnApply != nil {
		if err := s.OnApply(ctx, op); err != nil {
			return err
		}
	}
	if err := s.carryOut(ctx, op); err != nil {
		return err
	}
	s.tell(op)
	if s.OnApplied != nil {
		return s.OnApplied(ctx, op)
	}
	return nil
}

func (s *Site) tell(op content.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.nodes[op.To]; n != nil && op.Applied != nil {
		op.Applied(n.fingerprint())
	}
}

func (s *Site) wait(ctx context.Context) error {
	if s.Delay == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.Delay):
		return nil
	}
}

// carryOut reads the bytes without holding the site up.
func (s *Site) carryOut(ctx context.Context, op content.Op) error {
	if op.To == "" {
		return s.applyRemoval(op)
	}
	want, err := s.wanted(ctx, op)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.down(); err != nil {
		return err
	}
	if err := s.ask(op, want.folder); err != nil {
		return err
	}
	return s.place(op, want)
}

// ask tells whoever wants to know what stands where a file is about to be touched.
func (s *Site) ask(op content.Op, folder bool) error {
	for _, path := range slices.Compact([]string{op.From, op.To}) {
		n := s.nodes[path]
		if op.Found == nil || path == "" || folder && n != nil && n.folder {
			continue
		}
		fingerprint := ""
		if n != nil {
			fingerprint = n.fingerprint()
		}
		if err := op.Found(path, fingerprint); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) down() error {
	if s.gone {
		return fault.OfSite(fault.Retry, fault.TargetMissing, errors.New("the site is not there"))
	}
	return nil
}

// wanted is the node that an op makes. Its bytes are read unless the site has them.
func (s *Site) wanted(ctx context.Context, op content.Op) (node, error) {
	c := op.Change
	if c.Object.Type == content.TypeFolder && len(c.Payloads) == 0 {
		_, nothing := EncodeTree(op.To, Container(0))
		return node{folder: true, state: string(nothing[0].Inline)}, nil
	}
	st := c.Payload(content.PluginContent)
	if st == nil {
		return node{}, fault.Errorf(fault.Park, fault.Invalid, "place %q: no content payload", op.To)
	}
	n := node{folder: op.Change.Object.Type == content.TypeFolder, state: string(st.Inline)}
	p := op.Change.Payload(content.PluginFSS)
	if n.folder || p == nil {
		return n, nil
	}
	var have bool
	s.Lock(func() { n.data, have = s.bytesOf(op, p) })
	if have {
		return n, nil
	}
	var err error
	n.data, err = readAll(ctx, op, p)
	return n, err
}

// bytesOf finds the right bytes where the object was or is to be.
func (s *Site) bytesOf(op content.Op, p *content.Payload) (string, bool) {
	for _, at := range []string{op.From, op.To} {
		if n := s.nodes[at]; op.SameBytes && n != nil && !n.folder && Payload("", "", nil, []byte(n.data)).SHA256 == p.SHA256 {
			return n.data, true
		}
	}
	return "", false
}

func (s *Site) place(op content.Op, want node) error {
	if up := parentOf(op.To); up != "" && (s.nodes[up] == nil || !s.nodes[up].folder) {
		return fault.Errorf(fault.Retry, fault.ParentMissing, "place %q: its container is not there", op.To)
	}
	if now := s.nodes[op.To]; now != nil && now.equals(want) && (!want.folder || s.nodes[op.From] == nil || op.From == op.To) {
		return nil
	}
	if err := s.clear(op, want); err != nil {
		return err
	}
	if from := s.nodes[op.From]; op.From != op.To && from != nil && from.folder == want.folder {
		s.move(op.From, op.To)
	}
	s.put(op.To, want)
	return nil
}

func (n *node) equals(o node) bool {
	return n.folder == o.folder && n.data == o.data && n.state == o.state
}

// clear takes away what may be replaced, and refuses the rest.
func (s *Site) clear(op content.Op, want node) error {
	now := s.nodes[op.To]
	if now == nil || now.folder == want.folder && (op.From == op.To || !want.folder || s.nodes[op.From] == nil) {
		return nil
	}
	if len(s.below(op.To)) > 1 || !now.folder && op.From != op.To {
		return fault.Errorf(fault.Park, fault.PathTaken, "place %q: something else stands there", op.To)
	}
	delete(s.nodes, op.To)
	return nil
}

func (s *Site) put(p string, want node) {
	n := s.nodes[p]
	if n == nil {
		n = &node{id: s.next()}
		s.nodes[p] = n
	}
	n.folder, n.data, n.state, n.rev = want.folder, want.data, want.state, s.next()
	s.effects++
	s.touch()
}

func (s *Site) applyRemoval(op content.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.down(); err != nil {
		return err
	}
	if err := s.ask(op, true); err != nil {
		return err
	}
	switch len(s.below(op.From)) {
	case 0:
		return nil
	case 1:
		delete(s.nodes, op.From)
		s.effects++
		s.touch()
		return nil
	default:
		return fault.Errorf(fault.Retry, fault.NotEmpty, "remove %q: it holds something", op.From)
	}
}
