-- name: AppendOutbox :exec
INSERT INTO outbox (id, type, note_id, occurred_at, traceparent, tracestate)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: OutboxWaits :one
SELECT EXISTS (SELECT 1 FROM outbox);

-- name: LockOutbox :one
SELECT pg_try_advisory_lock(@relay_lock::bigint);

-- name: UnlockOutbox :one
SELECT pg_advisory_unlock(@relay_lock::bigint);

-- name: OldestOutbox :many
SELECT seq, id, type, note_id, occurred_at, traceparent, tracestate
FROM outbox
ORDER BY seq
LIMIT @batch_size;

-- name: DeleteOutbox :exec
DELETE FROM outbox
WHERE id = ANY (@ids::uuid[]);
