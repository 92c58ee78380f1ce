// Package preflight is what is found out about a site or a broker before anything
// travels: a list of findings, each with what to do where something is wrong. Drivers
// make them; the command line shows them, and services log what is wrong when they
// start. It looks at nothing itself.
package preflight

import (
	"fmt"

	"synchro.example/shared/fault"
)

// Verdict says how a finding is to be taken.
type Verdict string

const (
	// Good marks what is as it should be.
	Good Verdict = "good"
	// Advice marks what works and could be better.
	Advice Verdict = "advice"
	// Failed marks what keeps objects, or all of the site, from travelling.
	Failed Verdict = "failed"
)

// Finding is one thing that was looked at. The JSON names are a contract.
type Finding struct {
	// Check names what was looked at, in a word or two.
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	// Found says how it is.
	Found string `json:"found"`
	// Do says what to do about it; empty when that is nothing.
	Do string `json:"do,omitempty"`
}

// Roles say what a site is to others, and so what it has to be fit for.
type Roles struct {
	Source, Receiver bool
	// Thorough allows what takes a while, or writes and removes something to see whether
	// that is allowed.
	Thorough bool
}

// Report collects findings. The zero value is empty.
type Report []Finding

// Good adds what is as it should be.
func (r *Report) Good(check, format string, args ...any) {
	*r = append(*r, Finding{Check: check, Verdict: Good, Found: fmt.Sprintf(format, args...)})
}

// Advise adds what could be better.
func (r *Report) Advise(check, do, format string, args ...any) {
	*r = append(*r, Finding{check, Advice, fmt.Sprintf(format, args...), do})
}

// Fail adds what is wrong.
func (r *Report) Fail(check, do, format string, args ...any) {
	*r = append(*r, Finding{check, Failed, fmt.Sprintf(format, args...), do})
}

// Error adds an error, with the advice of its code.
func (r *Report) Error(check string, err error) {
	r.Fail(check, fault.Advice(fault.Of(err).Code), "%v", err)
}

// Failed gives the findings that are failures.
func (r Report) Failed() (failed []Finding) {
	for _, f := range r {
		if f.Verdict == Failed {
			failed = append(failed, f)
		}
	}
	return failed
}
