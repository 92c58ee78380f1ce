package envelope

import "synchro.example/shared/content"

// Text is a string that may hold any bytes: msgpack str where it is UTF-8, bin else.
type Text = text

// Check judges a change as Decode does, for who has made or altered one.
func Check(c *content.Change) error { return check(c) }
