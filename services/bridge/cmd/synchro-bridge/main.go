// Command synchro-bridge serves one site that is a classic queue.
package main

import (
	"synchro.example/services/bridge"
	"synchro.example/shared/service"
)

func main() { service.Main("synchro-bridge", bridge.Parts, true) }
