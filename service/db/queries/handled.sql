-- name: ClaimKey :execrows
-- A concurrent claim of the same key waits here until the first one's
-- transaction ends, so that exactly one of them commits the key.
INSERT INTO handled (key)
VALUES ($1)
ON CONFLICT (key) DO NOTHING;

-- name: SweepHandled :execrows
-- Two sweeps side by side take different rows, and so never wait for each other.
-- ARRAY has the rows chosen once; IN lets the planner choose again for each row.
DELETE FROM handled
WHERE key = ANY (ARRAY(
    SELECT h.key
    FROM handled h
    WHERE h.handled_at < @before
    ORDER BY h.handled_at
    LIMIT @batch_size
    FOR UPDATE SKIP LOCKED
));
