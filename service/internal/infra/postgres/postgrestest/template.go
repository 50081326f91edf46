package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5" // the driver of pgx5:// URLs
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"example.com/goldenpath/service/db/migrations"
)

// makeTemplate applies the migrations once; databases are then copies.
func (s *Server) makeTemplate() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.exec(ctx, superuser, "CREATE DATABASE "+template); err != nil {
		return fmt.Errorf("making the template database: %w", err)
	}
	m, err := s.Migrations(template)
	if err != nil {
		return err
	}
	if err := errors.Join(m.Up(), closeBoth(m)); err != nil {
		return fmt.Errorf("migrating the template database: %w", err)
	}
	return nil
}

// Migrations returns the service's migrations, to be run in a database. The
// caller closes them.
func (s *Server) Migrations(database string) (*migrate.Migrate, error) {
	files, err := iofs.New(migrations.Files, ".")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	url := "pgx5" + strings.TrimPrefix(s.URL(database), "postgres")
	m, err := migrate.NewWithSourceInstance("embedded", files, url)
	if err != nil {
		return nil, fmt.Errorf("preparing the migrations: %w", err)
	}
	return m, nil
}

func closeBoth(m *migrate.Migrate) error {
	source, database := m.Close()
	return errors.Join(source, database)
}
