-- name: CreateNote :exec
INSERT INTO notes (id, title, body, word_count, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: GetNote :one
SELECT id, title, body, word_count, created_at, updated_at
FROM notes
WHERE id = $1;

-- name: GetNoteForUpdate :one
SELECT id, title, body, word_count, created_at, updated_at
FROM notes
WHERE id = $1
FOR UPDATE;

-- name: ListNotes :many
SELECT id, title, body, word_count, created_at, updated_at
FROM notes
ORDER BY created_at DESC, id DESC
LIMIT $1;

-- name: ListNotesAfter :many
SELECT id, title, body, word_count, created_at, updated_at
FROM notes
WHERE (created_at, id) < (@created_at::timestamptz, @id::uuid)
ORDER BY created_at DESC, id DESC
LIMIT @page_size;

-- name: UpdateNote :execrows
UPDATE notes
SET title = $2, body = $3, word_count = $4, updated_at = $5
WHERE id = $1;

-- name: DeleteNote :execrows
DELETE FROM notes
WHERE id = $1;
