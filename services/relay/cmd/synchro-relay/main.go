// Command synchro-relay passes changes on from the sources' logs to the channels' logs.
package main

import (
	"synchro.example/services/relay"
	"synchro.example/shared/service"
)

func main() { service.Main("synchro-relay", relay.Parts, false) }
