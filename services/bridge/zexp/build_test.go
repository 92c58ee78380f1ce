package zexp

import (
	"encoding/binary"
	"strings"
	"testing"
)

// The parts of an export made by hand.
const (
	mappingClass = "cpersistent.mapping\nPersistentMapping\n."
	emptyState   = "}."
)

// id makes an object's id of a letter.
func id(letter string) string { return strings.Repeat("\x00", 7) + letter }

func sized(n int) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return string(b[:])
}

func record(letter, pickles string) string { return id(letter) + sized(len(pickles)) + pickles }

func blobOf(content string) string { return blobMark + sized(len(content)) + content }

func whole(records ...string) string {
	return Magic + strings.Join(records, "") + string(endMark[:])
}

// state makes an export of one mapping with a state.
func state(pickle string) string { return whole(record("a", mappingClass+pickle)) }

// class makes an export of one object with the class that a pickle describes.
func class(pickle string) string { return whole(record("a", pickle+emptyState)) }

// refers gives a pickle that refers to an object.
func refers(letter string) string { return "U\x08" + id(letter) + "Q" }

// variants are exports that differ a little from what ZODB writes and yet are well
// formed, or not; which is for Check to say.
func variants(t testing.TB) map[string][]byte {
	t.Helper()
	v := map[string][]byte{}
	for about, file := range map[string]string{
		"protocol 0":       whole(record("a", mappingClass+"(dp0\nS'data'\np1\n(dp2\nS'k'\np3\nVv\np4\nss.")),
		"protocol 2":       whole(record("a", "\x80\x02"+mappingClass+"\x80\x02}U\x04data}s.")),
		"two records":      whole(record("a", mappingClass+"}U\x04data}U\x01k"+refers("b")+"ss."), record("b", mappingClass+"}U\x04data}s.")),
		"a class twice":    whole(record("a", "cpersistent.mapping\nPersistentMapping\nq\x00.}U\x04data}U\x01kh\x00ss.")),
		"arguments":        whole(record("a", "(cpersistent.mapping\nPersistentMapping\nNt.}U\x04data}s.")),
		"spelled":          whole(record("a", "((U\x12persistent.mappingU\x11PersistentMappingtNt.}U\x04data}s.")),
		"a set":            whole(record("a", mappingClass+"}U\x04datac__builtin__\nset\n(](K\x01K\x02etRs.")),
		"a reconstruction": whole(record("a", mappingClass+"}U\x04data}U\x01k"+reconstruct+"(c__builtin__\nobject\nc__builtin__\nobject\nNtRss.")),
		"a missing object": whole(record("a", mappingClass+"}U\x04data}U\x01k"+refers("b")+"ss.")),
		"with its class":   whole(record("a", mappingClass+"}U\x04data}U\x01k(U\x08"+id("b")+"cpersistent.mapping\nPersistentMapping\ntQss."), record("b", mappingClass+"}U\x04data}s.")),
	} {
		v[about] = []byte(file)
	}
	return v
}
