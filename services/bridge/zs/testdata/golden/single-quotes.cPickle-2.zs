Äccollective.synchro.data
SynchroData
q)Åq}q(UpathqUaÖUuidqU 0123456789abcdef0123456789abcdefqUdatasq]qccollective.synchro.data
ZexpPluginData
q	)Åq
}qUdataqUit'sqsbaub.