// Command synchro-exporter exports the changes of one site.
package main

import (
	"synchro.example/services/exporter"
	"synchro.example/shared/service"
)

func main() { service.Main("synchro-exporter", exporter.Parts, true) }
