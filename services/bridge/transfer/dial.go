package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// keyFiles are those that ssh looks for, in the folder .ssh.
var keyFiles = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// Dial logs in to host, HOST or HOST:PORT, with the keys of the agent and those in the
// folder .ssh of home. The host must be in known_hosts there. Nobody is asked for anything.
// It gives several clients on one connection: the server of each works on one request after
// the other, and waits for its disk in each file.
func Dial(ctx context.Context, home, user, host string) (clients []*sftp.Client, closeAll func() error, err error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "22")
	}
	known, err := knownhosts.New(filepath.Join(home, ".ssh", "known_hosts"))
	if err != nil {
		return nil, nil, fmt.Errorf("read the known hosts: %w", err)
	}
	signers, release, err := keys(ctx, home)
	if err != nil {
		return nil, nil, err
	}
	config := &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(signers)}, HostKeyCallback: known}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reach %s: %w", host, err), release())
	}
	client, err := login(conn, host, config)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("log in to %s as %s: %w", host, user, err), conn.Close(), release())
	}
	clients, err = begin(client)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("begin SFTP with %s: %w", host, err), client.Close(), release())
	}
	return clients, func() error {
		var errs []error
		for _, c := range clients {
			errs = append(errs, c.Close())
		}
		return errors.Join(append(errs, client.Close(), release())...)
	}, nil
}

// begin opens as many clients as the server allows.
func begin(conn *ssh.Client) (clients []*sftp.Client, err error) {
	for range sessions {
		c, err := sftp.NewClient(conn)
		if err != nil && len(clients) == 0 {
			return nil, err
		}
		if err != nil {
			break
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func login(conn net.Conn, host string, config *ssh.ClientConfig) (*ssh.Client, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, host, config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// keys gives the keys without a password, of the agent and of files.
func keys(ctx context.Context, home string) (signers func() ([]ssh.Signer, error), release func() error, err error) {
	var own []ssh.Signer
	for _, name := range keyFiles {
		raw, err := os.ReadFile(filepath.Join(home, ".ssh", name))
		if err != nil {
			continue // there need not be one
		}
		if s, err := ssh.ParsePrivateKey(raw); err == nil { // one with a password is the agent's
			own = append(own, s)
		}
	}
	release = func() error { return nil }
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return func() ([]ssh.Signer, error) { return own, nil }, release, nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return func() ([]ssh.Signer, error) { return own, nil }, release, nil //nolint:nilerr // the agent is gone; files may do
	}
	return func() ([]ssh.Signer, error) {
		held, err := agent.NewClient(conn).Signers()
		if err != nil {
			held = nil // as without an agent
		}
		return append(held, own...), nil
	}, conn.Close, nil
}
