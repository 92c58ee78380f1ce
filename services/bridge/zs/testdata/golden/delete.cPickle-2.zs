Äccollective.synchro.data
SynchroData
q)Åq}q(UpathqUnewsqUoldqÜUuidqU 0123456789abcdef0123456789abcdefqUdatasq	]q
ccollective.synchro.data
DeletePluginData
q)Åq}qUdataqhsbaub.