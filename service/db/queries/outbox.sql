-- name: AppendOutbox :exec
INSERT INTO outbox (id, type, note_id, occurred_at, traceparent, tracestate)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: OutboxWaits :one
SELECT EXISTS (SELECT 1 FROM outbox);

-- name: ClaimOutbox :many
-- The advisory lock admits one relay at a time, until its transaction ends:
-- two that publish side by side would break the order of a note's events.
-- Evaluated once, before the scan; without it there are no rows. The row locks
-- drop rows that the relay before this one deleted after the snapshot was taken.
SELECT seq, id, type, note_id, occurred_at, traceparent, tracestate
FROM outbox
WHERE (SELECT pg_try_advisory_xact_lock(@relay_lock::bigint))
ORDER BY seq
LIMIT @batch_size
FOR UPDATE SKIP LOCKED;

-- name: DeleteOutbox :exec
DELETE FROM outbox
WHERE id = ANY (@ids::uuid[]);
