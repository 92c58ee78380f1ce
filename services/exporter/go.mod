module synchro.example/services/exporter

go 1.26.0
