module synchro.example/services/relay

go 1.26.0
