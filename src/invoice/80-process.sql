-- app: the run without background workers, and its schedule.

CREATE FUNCTION @extschema@.invoice_ready() RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	-- the caller's own, as that is what he can work on
	SELECT EXISTS (SELECT FROM saga.queues q
				   WHERE q.owner = quote_ident(current_user)::regrole AND q.name = 'invoice' AND q.ready > 0)
$$;
COMMENT ON FUNCTION @extschema@.invoice_ready() IS 'whether an invoice, or a reply to one, waits to be worked on now';

-- No SET clause and no SECURITY DEFINER: either would make COMMIT fail.
CREATE PROCEDURE @extschema@.invoice_process()
LANGUAGE plpgsql
AS $$
BEGIN
	-- Each round does all that is ready, and replies make work for the next; an
	-- invoice needs four. The bound is for workers that keep the queue filled.
	FOR round IN 1..100 LOOP
		-- a bare name is the caller's own: nobody else's workflow can be meant
		CALL saga.drain('invoice');
		CALL saga.publish();
		EXIT WHEN NOT @extschema@.invoice_ready();
	END LOOP;
END
$$;
COMMENT ON PROCEDURE @extschema@.invoice_process() IS
	'does the work on invoices that is ready now, as the owner of the workflow; needs no background worker and does no harm beside them';

CREATE FUNCTION @extschema@.invoice_schedule(cron text) RETURNS bigint
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job bigint;
	database text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		IF pg_has_role('pg_read_all_settings', 'USAGE') THEN
			database := current_setting('cron.database_name', true);
		END IF;
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'invoices cannot be scheduled without pg_cron in this database',
			HINT = CASE
				WHEN database IS NULL THEN
					'Ask an administrator to add pg_cron to shared_preload_libraries and to create the extension in this database.'
				WHEN database = current_database() THEN 'Run CREATE EXTENSION pg_cron.'
				ELSE format('In the database "%s" run SELECT cron.schedule_in_database(%L, %L, %L, %L, %L).',
					database, 'invoice', cron, 'CALL @extschema@.invoice_process()', current_database(), current_user)
			END;
	END IF;
	EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job
		USING 'invoice', cron, 'CALL @extschema@.invoice_process()';
	RETURN job;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_schedule(text) IS
	'lets pg_cron call invoice_process() on a schedule such as ''0 6 1 * *'', as the current user; once more replaces the schedule. Returns the id of the job';

CREATE FUNCTION @extschema@.invoice_unschedule() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		RETURN false;
	END IF;
	EXECUTE 'SELECT jobid FROM cron.job WHERE jobname = $1 AND username = current_user' INTO job USING 'invoice';
	IF job IS NOT NULL THEN
		EXECUTE 'SELECT cron.unschedule($1)' USING job;
	END IF;
	RETURN job IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.invoice_unschedule() IS 'removes the schedule of the current user; false if there was none';
