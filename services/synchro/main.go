// Command synchro keeps content the same on many sites. It is all services in one
// binary, and the commands of those who run them.
package main

import "synchro.example/services/synchro/program"

func main() { program.Main() }
