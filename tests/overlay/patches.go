package overlay

import "fmt"

// Bugs are the planted ones, and what a reader must know of each.
var Bugs = map[string]string{
	"ack-before-apply":     "the importer acknowledges a change before it has taken effect",
	"ledger-by-sequence":   "the ledger keeps the sequence in the stream instead of the version",
	"drop-one-in-thousand": "the target says that it has done what it has not",
	"swap-two-changes":     "the target makes two changes of one object in the wrong order",
	"replay-fresh-version": "a replay gives the change that failed a new version",
	"skip-folder-sync":     "the folder driver does not sync what it has renamed",
}

// Points are the steps at which a process can be made to kill itself.
func Points() []string {
	names := make([]string, len(points))
	for i, p := range points {
		names[i] = p.name
	}
	return names
}

// point is a place in the code: before the text, or after it.
type point struct {
	name, file, text string
	after            bool
}

// points are the durable steps, in the order in which a change passes them.
var points = []point{
	{"exporter before publish", "services/exporter/publish.go", "\tif _, err := b.e.publisher.Publish(ctx, b.msgs); err != nil {", false},
	{"exporter after publish", "services/exporter/publish.go", "\tb.e.count(len(b.msgs))", false},
	{"exporter after confirm", "services/exporter/publish.go", "\tb.msgs, b.bytes, b.uploads = nil, 0, nil", false},
	{"relay before publish", "services/relay/pass.go", "\tseqs, err := r.publisher.Publish(ctx, ", false},
	{"relay after publish", "services/relay/pass.go", "\tr.done.Add(int64(len(out)))", false},
	{"relay before ack", "services/relay/relay.go", "\tfor _, m := range msgs {\n\t\tif err := m.Ack(); err != nil {", false},
	{"relay after ack", "services/relay/relay.go", "\treturn len(msgs), nil", false},
	{"importer before hand", "services/importer/work.go", "\t\terr := s.announce(ctx, number, handsOf(batch), alone)\n", false},
	{"importer after hand", "services/importer/work.go", "\t\terr := s.announce(ctx, number, handsOf(batch), alone)\n", true},
	{"importer before apply", "services/importer/work.go", "\tfor i, err := range s.target.Apply(s.lease.Context(ctx), ops) {", false},
	{"importer after apply", "services/importer/work.go", "\t\ts.results <- finished{number, batch}", false},
	{"importer before ledger", "services/importer/record.go", "\terr = s.records.Enqueue(ctx, m, func(_ uint64, err error) {", false},
	{"importer after ledger", "services/importer/record.go", "\terr = s.records.Enqueue(ctx, m, func(_ uint64, err error) {\n", true},
	{"importer before failure", "services/importer/record.go", "\treturn s.account(ctx, m, func(_ uint64, err error) {\n", false},
	{"importer after failure", "services/importer/record.go", "\treturn s.account(ctx, m, func(_ uint64, err error) {\n", true},
	{"folder after staging", "shared/driver/folder/batch.go", "\tb.stage(ctx)\n", true},
	{"folder after effects", "shared/driver/folder/batch.go", "\tb.leave()\n", false},
	{"folder before sync", "shared/driver/folder/batch.go", "\tb.syncDirty()\n", false},
	{"folder after sync", "shared/driver/folder/batch.go", "\tb.syncDirty()\n", true},
	{"folder after rename", "shared/driver/folder/effectfile.go", "\tj.staged = \"\"\n\tif to.empty {", false},
	{"folder after removal", "shared/driver/folder/effect.go", "\tb.did(effectRemove, j, s.path)\n", false},
	{"folder after mkdir", "shared/driver/folder/effect.go", "\tb.did(effectMkdir, j, to.path)\n", false},
}

// bugs are the patches that plant a bug. The call of plant.On is false in all other runs.
var bugs = []Patch{
	{
		"services/importer/inbox.go",
		"\treturn s.admit(ctx, d.channel, c, ack)\n}\n\n// replay",
		`	if plant.On("ledger-by-sequence") {
		c.Version = version.Version(plant.Sequence(d.msg))
	}
	if plant.On("ack-before-apply") {
		ack()
		ack = func() {}
	}
	return s.admit(ctx, d.channel, c, ack)
}

// replay`,
	},
	{
		"services/importer/inbox.go",
		`	"synchro.example/shared/subject"` + "\n",
		`	"synchro.example/shared/subject"` + "\n" + `	"synchro.example/shared/version"` + "\n",
	},
	{
		"services/importer/inbox.go",
		"\treturn s.retry(ctx, r.Channel, r.UID, ack)\n",
		`	if plant.On("replay-fresh-version") {
		c, err := s.lookup(ctx, r.Channel, r.UID)
		if c == nil || err != nil {
			return err
		}
		c.Version = version.NewClock(c.Version, nil).Next()
		return s.admit(ctx, r.Channel, c, ack)
	}
	return s.retry(ctx, r.Channel, r.UID, ack)
`,
	},
	{
		"services/importer/refuse.go",
		`	"synchro.example/shared/subject"` + "\n",
		`	"synchro.example/shared/subject"` + "\n" + `	"synchro.example/shared/version"` + "\n",
	},
	{
		"services/importer/refuse.go",
		"\tc, err := s.decode(m)\n\treturn &m, c, err\n",
		`	c, err := s.decode(m)
	if c != nil && plant.On("ledger-by-sequence") {
		c.Version = version.Version(raw.Sequence)
	}
	return &m, c, err
`,
	},
	{
		"services/importer/reconcile.go",
		"\t\tif seq > passed {\n",
		`		if plant.On("ledger-by-sequence") {
			h.Version = version.Version(seq)
		}
		if seq > passed {
`,
	},
	{
		"shared/driver/driver.go",
		"\treturn folder.OpenTarget(o)\n",
		"\tt, err := folder.OpenTarget(o)\n\treturn plant.Target(name, t, err)\n",
	},
	{
		"shared/driver/folder/sync.go",
		"func (b *batch) syncDirty() {\n",
		"func (b *batch) syncDirty() {\n\tif plant.On(\"skip-folder-sync\") {\n\t\treturn\n\t}\n",
	},
}

// All gives every patch.
func All() []Patch {
	all := append([]Patch(nil), bugs...)
	for _, p := range points {
		call := fmt.Sprintf("plant.Point(%q)\n", p.name)
		if p.after {
			all = append(all, Patch{p.file, p.text, p.text + call})
		} else {
			all = append(all, Patch{p.file, p.text, call + p.text})
		}
	}
	return all
}
