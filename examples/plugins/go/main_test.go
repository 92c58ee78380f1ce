package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const configuration = `
broker: {embedded: {dir: ./broker, listen: "127.0.0.1:0"}}
sites:
  hq:    {folder: {path: ./hq}}
  paris: {folder: {path: ./paris}, plugins: [{id: unix-lines, sides: [import], types: [file]}]}
  lyon:  {folder: {path: ./lyon}}
channels:
  public: {from: hq, to: [paris, lyon]}
`

func TestTheProgramRunsWithThePluginOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"synchro.yaml": configuration, "hq/a.txt": "one\r\ntwo\r\n", "hq/b.bin": "one\r\n", "hq/large.txt": strings.Repeat("line\r\n", 1<<17),
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for _, site := range []string{"paris", "lyon"} {
		if err := os.Mkdir(filepath.Join(dir, site), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "synchro-lines")
	run(t, ".", "go", "build", "-o", program, ".")
	for range 2 { // the second finds nothing to do, and verify nothing to say
		run(t, dir, program, "up", "--once")
		run(t, dir, program, "verify")
	}
	for name, want := range map[string]string{
		"paris/a.txt": "one\ntwo\n", "paris/b.bin": "one\r\n", "paris/large.txt": strings.Repeat("line\n", 1<<17), "lyon/a.txt": "one\r\ntwo\r\n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s has %d bytes (%v), want %d", name, len(got), err, len(want))
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}
