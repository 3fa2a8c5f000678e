-- Name and value of each metric of a primary. :standbys is how many there should be.
SELECT 'DeadLetters', count(*) FROM saga.dead_letters WHERE redriven_at IS NULL
UNION ALL
SELECT 'OldestOutboxSeconds', coalesce(ceil(extract(epoch FROM now() - min(oldest_waiting))), 0) FROM saga.outbox_status
UNION ALL
SELECT 'PausedDestinations', count(*) FILTER (WHERE paused) FROM saga.outbox_status
UNION ALL
SELECT 'StandbysMissing', greatest(:standbys - count(*) FILTER (WHERE state = 'streaming'), 0) FROM pg_stat_replication
UNION ALL
SELECT 'ReplicationLagSeconds', coalesce(ceil(extract(epoch FROM max(replay_lag))), 0) FROM pg_stat_replication
UNION ALL
-- how long the oldest WAL that is not archived has waited; nothing is wrong while none failed last
SELECT 'ArchiveDelaySeconds', CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity')
		THEN ceil(extract(epoch FROM now() - coalesce(last_archived_time, stats_reset))) ELSE 0 END
  FROM pg_stat_archiver;
