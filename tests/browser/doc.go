// Package browser tests the dashboard as people see it: in a real browser, with the real
// binary behind it.
package browser
