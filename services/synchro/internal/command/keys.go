package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"synchro.example/shared/signature"
)

func (a *app) keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make keys with which sites sign what they send",
		Long: `Where a source has a key, relays and receivers take nothing in its name that this key has
not signed, also from somebody who can write into the broker.`,
	}
	c.AddCommand(a.keysNewCommand())
	return c
}

func (a *app) keysNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new FILE",
		Short: "Make a key: the secret half goes into FILE, the public half is printed",
		Long: `Writes the seed of a new Ed25519 key (an nkey of a user, as nk makes them) into FILE, which
only its owner can read and which must not be there yet, and prints the public half.
FILE belongs to the machine whose exporter, bridge or relay signs; the public half is no secret.

  sites:
    hq: {folder: {path: ./hq}, sign: FILE, signed_by: [PUBLIC]}`,
		Example: "  synchro keys new hq.nk",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "name one file")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := signature.Create(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, k.Public())
			return err
		},
	}
}
