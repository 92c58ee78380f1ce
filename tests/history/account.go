package history

import "fmt"

// Account is what is known, at the end of a run or at one moment in it, of one object on
// the way to one site. Versions are in the form that sorts; empty means none.
type Account struct {
	UID, Path string
	// Log is the version in the channel's log, and Sent tells that the broker counts it
	// as taken by the site.
	Log  string
	Sent bool
	// Ledger is what the site has taken, Failed what stands in ERROR for it.
	Ledger, Failed string
}

// JudgeAccounts finds changes that are lost: neither taken nor listed as failed. While
// work goes on only those count that were acknowledged; at the end all do.
func JudgeAccounts(site string, accounts []Account, ended bool) (found []Violation) {
	for _, a := range accounts {
		switch {
		case a.Log == "" || a.Ledger >= a.Log || a.Failed >= a.Log:
		case a.Sent && !ended:
			found = append(found, Violation{DurableWord, site, fmt.Sprintf(
				"%s (%s) is acknowledged in version %s, the ledger has %s and ERROR has %s", a.Path, a.UID, a.Log, orNone(a.Ledger), orNone(a.Failed))})
		case ended:
			found = append(found, Violation{NoneLost, site, fmt.Sprintf(
				"%s (%s) ends in version %s, the ledger has %s and ERROR has %s", a.Path, a.UID, a.Log, orNone(a.Ledger), orNone(a.Failed))})
		}
		if ended && a.Log != "" && a.Ledger > a.Log { // while work goes on the log is read first
			found = append(found, Violation{FromNowhere, site, fmt.Sprintf(
				"the ledger has %s (%s) in version %s, above %s in the log", a.Path, a.UID, a.Ledger, a.Log)})
		}
	}
	return found
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}
