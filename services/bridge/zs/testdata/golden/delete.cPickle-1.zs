ccopy_reg
_reconstructor
q(ccollective.synchro.data
SynchroData
qc__builtin__
object
qNtRq}q(Upathq(UnewsqUoldqtUuidq	U 0123456789abcdef0123456789abcdefq
Udatasq]qh(ccollective.synchro.data
DeletePluginData
qhNtRq}qUdataqhsbaub.