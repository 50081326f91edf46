package inmem_test

import (
	"testing"

	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/interface/inmem"
)

// The adapters' tests are worth what their store is: it passes what the real
// database passes.
func TestStore(t *testing.T) {
	notetest.Run(t, func(*testing.T) notetest.Store {
		s := inmem.New()
		return notetest.Store{Notes: s.Notes(), Ledger: s, Tx: s}
	})
}
