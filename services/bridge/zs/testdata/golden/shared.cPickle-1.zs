ccopy_reg
_reconstructor
q(ccollective.synchro.data
SynchroData
qc__builtin__
object
qNtRq}q(Upathq(UsharedqhtUuidqhUdatasq	]q
h(ccollective.synchro.data
FssPluginData
qhNtRq}qUdataq]q(]q(hh}q(UmimetypeqhUfileqhUfilenameqhue]q(hhheesbaub.