module synchro.example/services/synchro

go 1.26.0

require (
	synchro.example/services/bridge v0.0.0
	synchro.example/services/exporter v0.0.0
	synchro.example/services/importer v0.0.0
	synchro.example/services/relay v0.0.0
	synchro.example/shared v0.0.0
)

replace (
	synchro.example/services/bridge => ../bridge
	synchro.example/services/exporter => ../exporter
	synchro.example/services/importer => ../importer
	synchro.example/services/relay => ../relay
	synchro.example/shared => ../../shared
)
