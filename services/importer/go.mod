module synchro.example/services/importer

go 1.26.0
