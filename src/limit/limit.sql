-- limit: how much may be asked of a destination, over all publishers.

-- What publishers tell each other; not dumped, as it is of the moment. A row is made when there is something to say.
CREATE TABLE saga.destination_state (
	limit_key text PRIMARY KEY,
	next_start_at timestamptz,			-- per_second: no request starts before
	minute_bucket integer,				-- number of the newest of 32 buckets, each a 30th of the window
	minute_starts integer[],			-- requests in each, from the newest on
	hour_bucket integer,
	hour_starts integer[],
	day_bucket integer,
	day_starts integer[],
	pause_until timestamptz,			-- the server asked for it
	breaker text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half-open')),
	breaker_until timestamptz,			-- open: then one is tried; half-open: the one that is tried is given up
	breaker_reason text,				-- failures, auth
	opened integer NOT NULL DEFAULT 0,	-- so often in a row, for this reason
	probe_lease bigint,					-- half-open: whose publisher tries it
	slow_from timestamptz,				-- start of the last slow start
	counted_from timestamptz,			-- the breaker's window
	requests integer NOT NULL DEFAULT 0,
	failures integer NOT NULL DEFAULT 0,
	last_success_at timestamptz,
	last_error text,
	last_error_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE saga.destination_state IS 'rate, pause and breaker of each destination, or group of destinations, over all publishers';
