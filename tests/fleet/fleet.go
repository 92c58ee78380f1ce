package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"synchro.example/tests/history"
)

// Names that every fleet has.
const (
	Source  = "hq"
	Channel = "public"
)

// Options say what a fleet is made of. Dir, Binary and History are required.
type Options struct {
	Dir       string
	Binary    string
	History   *history.History
	Receivers int
	// Together runs everything in one process.
	Together bool
	// Site adds keys to a site's configuration, as a flow of YAML: "workers: 4".
	Site map[string]string
	// Top adds lines at the top of the configuration.
	Top string
	// Env is added to the environment of every process.
	Env []string
	// Through is the address that services other than the broker connect to; empty for
	// the broker's own.
	Through func(broker string) string
	// Dirs puts the folder of a site elsewhere, on another file system.
	Dirs map[string]string
}

// Fleet is one source, its receivers, and the processes that serve them.
type Fleet struct {
	Options
	// Broker is the address of the broker.
	Broker string

	processes map[Role]*process
}

// New makes the folders and the configuration of a fleet, and starts nothing.
func New(o Options) (*Fleet, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	f := &Fleet{Options: o, Broker: addr, processes: map[Role]*process{}}
	for _, site := range append([]string{Source}, f.Sites()...) {
		if err := os.MkdirAll(f.Path(site), 0o755); err != nil {
			return nil, err
		}
	}
	if err := f.Configure(); err != nil {
		return nil, err
	}
	f.declare()
	return f, nil
}

// freeAddress gives an address whose port lies below those that the system gives away: else
// somebody's connection may have it whenever the broker is away.
func freeAddress() (address string, err error) {
	for range 100 {
		address = fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no port is free: %w", err)
}

// Sites gives the names of the receivers.
func (f *Fleet) Sites() []string {
	var names []string
	for i := range f.Receivers {
		names = append(names, fmt.Sprintf("s%d", i+1))
	}
	return names
}

// Path is the folder of a site.
func (f *Fleet) Path(site string) string {
	if dir, ok := f.Dirs[site]; ok {
		return dir
	}
	return filepath.Join(f.Dir, "sites", site)
}

// BrokerDir is where the broker keeps everything.
func (f *Fleet) BrokerDir() string { return filepath.Join(f.Dir, "broker") }

// Writes is where a receiver logs its writes.
func (f *Fleet) Writes(site string) string { return filepath.Join(f.Dir, site+".writes") }

func (f *Fleet) file(name string) string { return filepath.Join(f.Dir, name) }

// Configure writes the configuration, for the broker and for those who connect to it.
func (f *Fleet) Configure() error {
	through := f.Broker
	if f.Through != nil {
		through = f.Through(f.Broker)
	}
	embedded := fmt.Sprintf("broker: {embedded: {dir: %q, listen: %q}}\n", f.BrokerDir(), f.Broker)
	other := fmt.Sprintf("broker: {url: %q}\n", "nats://"+through)
	if err := os.WriteFile(f.file("synchro.yaml"), []byte(embedded+f.rest()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(f.file("service.yaml"), []byte(other+f.rest()), 0o644)
}

func (f *Fleet) rest() string {
	var b strings.Builder
	b.WriteString(f.Top)
	fmt.Fprintf(&b, "sites:\n  %s: {folder: {path: %q, settle: 40ms, rescan: 2s}, max_removals: 100%%%s}\n", Source, f.Path(Source), f.extra(Source))
	for _, site := range f.Sites() {
		fmt.Fprintf(&b, "  %s: {folder: {path: %q, writes: %q}%s}\n", site, f.Path(site), f.Writes(site), f.extra(site))
	}
	fmt.Fprintf(&b, "channels:\n  %s: {from: %s, to: [%s]}\n", Channel, Source, strings.Join(f.Sites(), ", "))
	return b.String()
}

func (f *Fleet) extra(site string) string {
	if keys, ok := f.Site[site]; ok {
		return ", " + keys
	}
	return ""
}

// declare makes the processes, none of which runs yet.
func (f *Fleet) declare() {
	if f.Together {
		f.add("up", "synchro.yaml", "up")
		return
	}
	f.add("broker", "synchro.yaml", "broker")
	f.add("relay", "service.yaml", "relay")
	f.add("exporter", "service.yaml", "exporter", "--site", Source)
	for _, site := range f.Sites() {
		f.add(Importer(site), "service.yaml", "importer", "--site", site)
	}
}

// Importer is the role of a site's importer.
func Importer(site string) Role { return Role("importer " + site) }

// Second declares another process of a role, which stands by.
func (f *Fleet) Second(role Role) Role {
	name := role + "#2"
	p := f.processes[role]
	f.processes[name] = newProcess(name, f.History, f.Dir, p.args...)
	f.processes[name].env = p.env
	return name
}

func (f *Fleet) add(role Role, config string, args ...string) {
	argv := append([]string{f.Binary, args[0], "--config", f.file(config)}, args[1:]...)
	p := newProcess(role, f.History, f.Dir, argv...)
	p.env = f.Env
	f.processes[role] = p
}

// Roles gives the processes there are, the broker first.
func (f *Fleet) Roles() []Role {
	var roles []Role
	for role := range f.processes {
		roles = append(roles, role)
	}
	slices.SortFunc(roles, func(a, b Role) int {
		if (a == "broker") != (b == "broker") {
			if a == "broker" {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a), string(b))
	})
	return roles
}

// Start starts processes, all when none is named, and waits for the broker.
func (f *Fleet) Start(ctx context.Context, roles ...Role) error {
	if len(roles) == 0 {
		roles = f.Roles()
	}
	for _, role := range roles {
		if err := f.processes[role].start(); err != nil {
			return err
		}
		if role == "broker" || role == "up" {
			if err := f.AwaitBroker(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// AwaitBroker waits until the broker takes connections.
func (f *Fleet) AwaitBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", f.Broker)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the broker does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill kills a process at once. It is started again by itself.
func (f *Fleet) Kill(role Role) error {
	f.History.Add("fault", "kill", string(role), nil)
	f.History.Count("kills", 1)
	return f.processes[role].signal(syscall.SIGKILL)
}

// Freeze stops a process with SIGSTOP, Thaw lets it go on.
func (f *Fleet) Freeze(role Role) error {
	f.History.Add("fault", "stop", string(role), nil)
	f.History.Count("freezes", 1)
	return f.processes[role].signal(syscall.SIGSTOP)
}

// Thaw lets a frozen process go on.
func (f *Fleet) Thaw(role Role) error {
	f.History.Add("heal", "continue", string(role), nil)
	return f.processes[role].signal(syscall.SIGCONT)
}

// Stop ends processes for good and in order, all when none is named.
func (f *Fleet) Stop(roles ...Role) error {
	if len(roles) == 0 {
		roles = f.Roles()
		slices.Reverse(roles)
	}
	var errs []error
	for _, role := range roles {
		errs = append(errs, f.processes[role].stop(syscall.SIGTERM, 30*time.Second))
	}
	return errors.Join(errs...)
}

// KillAll ends everything at once and keeps it ended.
func (f *Fleet) KillAll(roles ...Role) {
	if len(roles) == 0 {
		roles = f.Roles()
	}
	for _, role := range roles {
		_ = f.processes[role].stop(syscall.SIGKILL, 10*time.Second)
	}
}

// Under runs a role from its next start on under another command, or alone again.
func (f *Fleet) Under(role Role, command ...string) {
	p := f.processes[role]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = command
}

// Setenv gives a role further variables from its next start on.
func (f *Fleet) Setenv(role Role, env ...string) {
	p := f.processes[role]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env = append(slices.Clone(f.Env), env...)
}

// AwaitExit waits until a role has ended more often than before.
func (f *Fleet) AwaitExit(ctx context.Context, role Role, before int) error {
	for {
		n, next := f.processes[role].exitCount()
		if n > before {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("%s has not ended: %w", role, ctx.Err())
		}
	}
}

// Exits is how often a role has ended.
func (f *Fleet) Exits(role Role) int {
	n, _ := f.processes[role].exitCount()
	return n
}

// Log gives what a role has logged.
func (f *Fleet) Log(role Role) string {
	b, err := os.ReadFile(f.processes[role].log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Logged counts the lines with a text in the logs of all processes.
func (f *Fleet) Logged(text string) (n int) {
	for role := range f.processes {
		n += strings.Count(f.Log(role), text)
	}
	return n
}

// Run runs a command of the program and gives what it printed and its exit status.
func (f *Fleet) Run(ctx context.Context, args ...string) (out string, status int, err error) {
	argv := append([]string{args[0], "--config", f.file("synchro.yaml")}, args[1:]...)
	cmd := exec.CommandContext(ctx, f.Binary, argv...)
	cmd.Env = append(os.Environ(), f.Env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() > 0 {
		return stdout.String() + stderr.String(), e.ExitCode(), nil
	}
	return stdout.String() + stderr.String(), 0, err
}

// JSON runs a command with --json and reads what it printed.
func (f *Fleet) JSON(ctx context.Context, into any, args ...string) error {
	out, status, err := f.Run(ctx, append(args, "--json")...)
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), into)
	}
	if err != nil {
		return fmt.Errorf("synchro %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// SiteStatus is a line of `status --json`.
type SiteStatus struct {
	Name       string  `json:"name"`
	State      string  `json:"state"`
	Reason     string  `json:"reason"`
	Pending    int     `json:"pending"`
	LagSeconds float64 `json:"lag_seconds"`
	Errors     int     `json:"errors"`
}

// Status asks how the sites are.
func (f *Fleet) Status(ctx context.Context) (map[string]SiteStatus, error) {
	var answer struct {
		Sites []SiteStatus `json:"sites"`
	}
	if err := f.JSON(ctx, &answer, "status"); err != nil {
		return nil, err
	}
	sites := map[string]SiteStatus{}
	for _, s := range answer.Sites {
		sites[s.Name] = s
	}
	return sites, nil
}

// Failure is an entry of `errors --json`.
type Failure struct {
	Site     string    `json:"site"`
	UID      string    `json:"uid"`
	Path     string    `json:"path"`
	Code     string    `json:"code"`
	Class    string    `json:"class"`
	Reason   string    `json:"reason"`
	Version  string    `json:"version"`
	Attempts int       `json:"attempts"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	WaitsFor string    `json:"waits_for"`
}

// Errors asks what failed.
func (f *Fleet) Errors(ctx context.Context, args ...string) ([]Failure, error) {
	var list []Failure
	err := f.JSON(ctx, &list, append([]string{"errors"}, args...)...)
	return list, err
}
