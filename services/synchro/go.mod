module synchro.example/services/synchro

go 1.26.0
