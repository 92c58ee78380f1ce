Äccollective.synchro.data
SynchroData
q)Åq}q(UpathqUaÖUuidqU 0123456789abcdef0123456789abcdefqUdatasq]ub.