package binaries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchedVersion is what is fetched where there is no PostgreSQL: the version
// of compose.yaml, so that both engines agree.
const fetchedVersion = embeddedpostgres.V17

// Repository is where the archives are, in the layout of Maven.
const Repository = "https://repo1.maven.org/maven2"

// Fetcher gets PostgreSQL's programs over the network into a folder of the
// user's, once.
type Fetcher struct {
	// Dir is where they are kept, below a folder for each version.
	Dir string
	// Repository has the archives; see the constant of that name.
	Repository string
	// Progress is told how much has arrived.
	Progress func(text string)
}

// Fetch returns the programs that were fetched earlier, or fetches them. Two
// processes may do so at once. When it fails nothing half done is left.
func (f Fetcher) Fetch(ctx context.Context) (Set, error) {
	home := filepath.Join(f.Dir, "postgresql-"+string(fetchedVersion))
	if set, err := inspect(ctx, filepath.Join(home, "bin")); err == nil {
		return set, nil
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return Set{}, fmt.Errorf("fetch PostgreSQL %s: %w", fetchedVersion, err)
	}
	scratch, err := os.MkdirTemp(f.Dir, "fetching-")
	if err != nil {
		return Set{}, fmt.Errorf("fetch PostgreSQL %s: %w", fetchedVersion, err)
	}
	defer os.RemoveAll(scratch)
	if err := f.into(ctx, scratch); err != nil {
		return Set{}, fmt.Errorf("fetch PostgreSQL %s: %w", fetchedVersion, err)
	}
	set, err := f.adopt(ctx, filepath.Join(scratch, "programs"), home)
	if err != nil {
		return Set{}, fmt.Errorf("fetch PostgreSQL %s: %w", fetchedVersion, err)
	}
	return set, nil
}

// into downloads and unpacks below scratch.
//
// The library has no call that only fetches, and its download knows neither
// cancellation nor time limits nor progress. So it downloads from a relay of
// ours on loopback, which has them, and it is given a data directory that holds
// nothing but a version: it then tries no initdb, and the start that follows
// fails at once. Whether the programs have arrived is what counts.
func (f Fetcher) into(ctx context.Context, scratch string) error {
	data := filepath.Join(scratch, "no-data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(fetchedVersion), 0o600); err != nil {
		return err
	}
	relay, err := openRelay(ctx, f.Repository, f.Progress)
	if err != nil {
		return err
	}
	defer relay.close()
	startErr := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(fetchedVersion).
		Port(relay.freePort).
		BinaryRepositoryURL(relay.url).
		CachePath(filepath.Join(scratch, "archive")).
		RuntimePath(filepath.Join(scratch, "runtime")).
		BinariesPath(filepath.Join(scratch, "programs")).
		DataPath(data).
		Logger(io.Discard)).Start()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := relay.failure(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(scratch, "programs", "bin", "postgres")); err != nil {
		return errors.Join(startErr, err)
	}
	return nil
}

// adopt moves the unpacked programs to where they are kept, whole or not at all.
func (f Fetcher) adopt(ctx context.Context, programs, home string) (Set, error) {
	if _, err := inspect(ctx, filepath.Join(programs, "bin")); err != nil {
		return Set{}, err
	}
	// As root the server runs as another user, who must be able to read them.
	if err := os.Chmod(programs, 0o755); err != nil {
		return Set{}, err
	}
	// A folder that is there did not pass inspect above, or another process was
	// faster; a rename cannot replace a folder with content.
	if _, err := inspect(ctx, filepath.Join(home, "bin")); err != nil {
		if err := os.RemoveAll(home); err != nil {
			return Set{}, err
		}
		if err := os.Rename(programs, home); err != nil && !errors.Is(err, fs.ErrExist) {
			return Set{}, err
		}
	}
	return inspect(ctx, filepath.Join(home, "bin"))
}
