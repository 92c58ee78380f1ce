package envelope

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"synchro.example/shared/content"
)

func TestExampleInTheProtocolIsAnEnvelope(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(page), "```hex\n")
	if !ok {
		t.Fatal("docs/protocol.md has no example")
	}
	example, _, _ = strings.Cut(example, "```")
	body, err := hex.DecodeString(strings.Join(strings.Fields(example), ""))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if c.Object.Path != "a.txt" || string(c.Payload(content.PluginFSS).Inline) != "hello\n" {
		t.Errorf("the example is %+v", c)
	}
}
