ccopy_reg
_reconstructor
q(ccollective.synchro.data
SynchroData
qc__builtin__
object
qNtRq}q(Upathq(UatUuidqU 0123456789abcdef0123456789abcdefqUdatasq	]ub.