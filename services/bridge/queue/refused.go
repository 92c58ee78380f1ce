package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"synchro.example/shared/fault"
)

// Refused is where the reasons lie of what is in ERROR, beside the queue at a path: a
// foreign name in it would end a classic run.
func Refused(path string) string { return filepath.Join(filepath.Clean(path)+".synchro", "refused") }

// Explain writes down why a file goes to ERROR.
func Explain(path string, side Side, name Name, f *fault.Error) error {
	dir := Refused(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write why a file is refused: %w", err)
	}
	again := "To import the file again,"
	if side == Export {
		again = "To send the file again, `synchro replay`, or"
	}
	text := fmt.Sprintf("%s\ncode: %s\nwhen: %s\n\n%s\n%s move it from %s to %s.\n",
		f.Error(), f.Code, time.Now().UTC().Format(time.RFC3339), fault.Advice(f.Code), again, Folder(side, Failed), Folder(side, ToProcess))
	if err := os.WriteFile(filepath.Join(dir, name.String()+".txt"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write why a file is refused: %w", err)
	}
	return nil
}
