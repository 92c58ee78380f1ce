// Command synchro-importer applies changes to one receiving site.
package main

import (
	"synchro.example/services/importer"
	"synchro.example/shared/service"
)

func main() { service.Main("synchro-importer", importer.Parts, true) }
