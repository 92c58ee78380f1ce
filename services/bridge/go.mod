module synchro.example/services/bridge

go 1.26.0

require synchro.example/shared v0.0.0

replace synchro.example/shared => ../../shared
