package cluster

import (
	"fmt"
	"os"
	"path/filepath"
)

// settings is postgresql.conf. It is written anew at each start, so nothing
// that was done to the file keeps the server from starting; what a developer
// sets with ALTER SYSTEM is in another file and stays.
const settings = `# written at each start; use ALTER SYSTEM for settings of your own
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
password_encryption = 'scram-sha-256'

# Data for development: it survives the server, not a crash of the machine.
# The supervisor notices such a crash and starts anew. synchronous_commit stays
# on: without fsync it costs next to nothing, and with it off a server that is
# killed forgets what it had confirmed.
fsync = off
full_page_writes = off

# A little more WAL for updates buys logical decoding, which tells what rows a
# request wrote. With wal_level = minimal it would need a restart.
wal_level = logical
max_wal_senders = 4
max_replication_slots = 4
min_wal_size = '80MB'
max_wal_size = '512MB'

# Compiling plans costs more than it saves on small data, and makes the first
# query of a kind slow for no reason that a developer can see.
jit = off

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%u@%d '
log_min_messages = 'warning'
log_min_error_statement = 'error'
log_min_duration_statement = '1s'
log_checkpoints = off
log_autovacuum_min_duration = -1
`

const access = `# TYPE  DATABASE     USER  ADDRESS       METHOD
host    all          all   127.0.0.1/32  scram-sha-256
host    replication  all   127.0.0.1/32  scram-sha-256
`

// configure writes the server's configuration.
func (c *Cluster) configure() error {
	for name, text := range map[string]string{"postgresql.conf": settings, "pg_hba.conf": access, "pg_ident.conf": ""} {
		path := filepath.Join(c.Data(), name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			return fmt.Errorf("configure PostgreSQL: %w", err)
		}
		if c.Credential != nil {
			if err := os.Chown(path+".new", int(c.Credential.UID), int(c.Credential.GID)); err != nil {
				return fmt.Errorf("configure PostgreSQL: %w", err)
			}
		}
		if err := os.Rename(path+".new", path); err != nil {
			return fmt.Errorf("configure PostgreSQL: %w", err)
		}
	}
	// postgres refuses a data directory that others may read.
	if err := os.Chmod(c.Data(), 0o700); err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	return nil
}
