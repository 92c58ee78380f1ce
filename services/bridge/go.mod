module synchro.example/services/bridge

go 1.26.0

replace synchro.example/shared => ../../shared
