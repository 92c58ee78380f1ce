module synchro.example

go 1.26.0
