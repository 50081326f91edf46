package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Record is what is remembered of a running program: enough to find it again
// after a crash and to be sure that it is still the same one.
type Record struct {
	Name    string         `json:"name"`
	PID     int            `json:"pid"`
	Started string         `json:"started"` // identity of the process, see identity
	Signal  syscall.Signal `json:"signal"`
}

// Registry is the list of running programs, kept in a file. One supervisor
// writes it at a time; the stack's lock sees to that.
type Registry struct {
	path    string
	mu      sync.Mutex
	records map[int]Record
}

// OpenRegistry reads the registry at path. A file that is missing or cannot be
// understood is an empty registry: it describes processes, and what it may have
// lost is found by their owners (PostgreSQL by its postmaster.pid).
func OpenRegistry(path string) (*Registry, error) {
	r := &Registry{path: path, records: map[int]Record{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of running programs: %w", err)
	}
	var list []Record
	if json.Unmarshal(data, &list) == nil {
		for _, rec := range list {
			if rec.PID > 1 {
				r.records[rec.PID] = rec
			}
		}
	}
	return r, nil
}

// Records lists what is on record, in no particular order.
func (r *Registry) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Record, 0, len(r.records))
	for _, rec := range r.records {
		list = append(list, rec)
	}
	return list
}

// Reap ends the programs on record that still run and are still the same
// process (a recycled pid is left alone), and empties the registry. Each gets
// its stop signal and the grace period, then SIGKILL to its group. It returns
// what it ended.
func (r *Registry) Reap(grace time.Duration) ([]Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var alive []Record
	for _, rec := range r.records {
		if id, ok := identity(rec.PID); ok && id == rec.Started {
			alive = append(alive, rec)
			_ = syscall.Kill(rec.PID, rec.Signal)
		}
	}
	deadline := time.Now().Add(grace)
	for _, rec := range alive {
		for time.Now().Before(deadline) && running(rec) {
			time.Sleep(5 * time.Millisecond)
		}
		signalGroup(rec.PID, syscall.SIGKILL)
		for range 400 { // a killed process is gone within moments
			if !running(rec) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if running(rec) {
			return alive, fmt.Errorf("end %s, left by a supervisor that crashed: pid %d does not go away", rec.Name, rec.PID)
		}
	}
	clear(r.records)
	return alive, r.save()
}

// Running says whether there is a process with that pid that has not ended.
func Running(pid int) bool {
	_, ok := identity(pid)
	return ok
}

func running(rec Record) bool {
	id, ok := identity(rec.PID)
	return ok && id == rec.Started
}

func (r *Registry) add(s Spec, pid int) error {
	id, _ := identity(pid) // gone already: wait will take it off again
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[pid] = Record{Name: s.Name, PID: pid, Started: id, Signal: s.StopSignal}
	return r.save()
}

func (r *Registry) remove(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.records, pid)
	// A record too many is harmless: Reap compares identities.
	_ = r.save()
}

// save writes the file anew; a reader sees the old list or the new one.
func (r *Registry) save() error {
	list := make([]Record, 0, len(r.records))
	for _, rec := range r.records {
		list = append(list, rec)
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	tmp := r.path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("write the list of running programs: %w", err)
	}
	if err := os.Rename(tmp, filepath.Clean(r.path)); err != nil {
		return fmt.Errorf("write the list of running programs: %w", err)
	}
	return nil
}

// Kill ends every program on record at once, with what it started.
func (r *Registry) Kill() {
	for _, rec := range r.Records() {
		signalGroup(rec.PID, syscall.SIGKILL)
	}
}
