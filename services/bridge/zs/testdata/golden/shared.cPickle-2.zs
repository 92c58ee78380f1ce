Äccollective.synchro.data
SynchroData
q)Åq}q(UpathqUsharedqhÜUuidqhUdatasq]qccollective.synchro.data
FssPluginData
q	)Åq
}qUdataq]q(]q(hh}q(UmimetypeqhUfileqhUfilenameqhue]q(hhheesbaub.