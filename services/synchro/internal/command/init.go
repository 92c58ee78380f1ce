package command

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"synchro.example/shared/config"
	"synchro.example/shared/fault"
)

//go:embed synchro.yaml
var sample []byte

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a commented configuration, and the folders that it names",
		Long: `Makes the folder DIR with a configuration, synchro.yaml, in it: a source and two
receivers as folders beside the file, and a broker that synchro runs itself. All of
it is explained in the file and meant to be changed. What is there already is left
as it is.`,
		Example: "  synchro init ./mysites && synchro up --config ./mysites/synchro.yaml",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "name one folder")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.init(args[0]) },
	}
}

func (a *app) init(dir string) error {
	file := filepath.Join(dir, config.DefaultFile)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := writeNew(file, sample); err != nil {
		return err
	}
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	for _, s := range c.Sites {
		if err := os.MkdirAll(s.Folder.Path, 0o755); err != nil {
			return fmt.Errorf("make a site's folder: %w", err)
		}
	}
	self := invocation(os.Args[0])
	fmt.Fprintf(a.out, `%[2]s is written: a source, hq, and two receivers, paris and lyon.
Start everything, and leave it running:

  %[1]s up --config %[2]s

Then change something in %[3]s and see it arrive in %[4]s
and %[5]s. In another terminal

  %[1]s status --config %[2]s

tells how all sites are.
`, self, file, filepath.Join(dir, "hq"), filepath.Join(dir, "paris"), filepath.Join(dir, "lyon"))
	return nil
}

// writeNew writes a file that must not be there.
func writeNew(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fault.Errorf(fault.Stop, fault.Misconfigured, "%s is there already and is left as it is; run it, or name another folder", file)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
