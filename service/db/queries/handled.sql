-- name: ClaimKey :execrows
-- A concurrent claim of the same key waits here until the first one's
-- transaction ends, so that exactly one of them commits the key.
INSERT INTO handled (key)
VALUES ($1)
ON CONFLICT (key) DO NOTHING;

-- name: SweepHandled :execrows
DELETE FROM handled
WHERE key IN (
    SELECT h.key
    FROM handled h
    WHERE h.handled_at < @before
    ORDER BY h.handled_at
    LIMIT @batch_size
);
