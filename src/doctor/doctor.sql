-- doctor: what an administrator should know of an installation, with the commands that mend it.

-- The filter is of whoever reads, as in the other views; the tables are read with the rights of their owner.
CREATE VIEW saga.doctor_objects WITH (security_barrier) AS
	SELECT o.kind, o.name, o.owner, o.settings,
		CASE WHEN o.owner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN o.name
			ELSE pg_catalog.format('%s.%I', o.owner, o.name) END AS written,
		pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(o.definition::text, 'UTF8')), 'hex') AS definition_hash,
		o.refused,
		-- what its settings refer to, and is not there
		CASE WHEN o.settings IS NOT NULL THEN ARRAY(SELECT pg_catalog.jsonb_build_object('owner', f.object_owner::text, 'name', f.object_name)
			FROM saga.reference f
			WHERE f.referrer = o.kind AND f.referrer_id = o.id AND f.kind = 'secret'
				AND NOT EXISTS (SELECT FROM saga.secret s WHERE s.owner = f.object_owner AND s.name = f.object_name)
			ORDER BY 1) END AS missing_secrets
	FROM (
		SELECT 'workflow' AS kind, w.name, w.owner, NULL::jsonb AS settings, v.definition, w.workflow_id AS id, false AS refused
		FROM saga.workflow w JOIN saga.workflow_version v USING (workflow_id, version)
		UNION ALL
		SELECT 'queue', q.name, q.owner, NULL, NULL, q.queue_id, false FROM saga.queue q WHERE q.kind = 'q'
		UNION ALL
		SELECT 'activity', pg_catalog.substr(q.name, 10), q.owner, NULL, NULL, q.queue_id, false FROM saga.queue q WHERE q.kind = 'a'
		UNION ALL
		SELECT 'destination', d.name, d.owner, d.settings, d.settings, d.destination_id, coalesce(t.breaker <> 'closed' AND t.breaker_reason = 'auth', false)
		FROM saga.destination d LEFT JOIN saga.destination_state t ON t.limit_key = d.limit_key
		UNION ALL
		SELECT 'source', s.name, s.owner, s.settings, s.settings, s.source_id, false FROM saga.source s
		UNION ALL
		SELECT 'secret', s.name, s.owner, NULL, NULL, s.secret_id, false FROM saga.secret s) o
	WHERE pg_catalog.pg_has_role(o.owner, 'USAGE');
COMMENT ON VIEW saga.doctor_objects IS 'what saga.doctor() looks at: everything that has an owner whose rights the current user has; written: its name as he has to write it';

-- Each check is one RETURN QUERY. It reads catalogs, pg_settings and saga.doctor_objects with the rights
-- of the caller, and nothing of pg_invoice, which may be absent or in any schema. The command is whole
-- and quoted; where a role must be chosen it says app_owner.
CREATE FUNCTION saga.doctor(OUT "check" text, OUT severity text, OUT what text, OUT command text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $doctor$
#variable_conflict use_column
DECLARE
	extensions CONSTANT name[] := '{pg_saga,pg_invoice}';
	-- null when pg_invoice is absent
	invoice_schema CONSTANT regnamespace := (SELECT e.extnamespace FROM pg_extension e WHERE e.extname = 'pg_invoice');
	mend_setting CONSTANT text := 'ALTER SYSTEM SET %s = %L; SELECT pg_catalog.pg_reload_conf()';
	-- its sizes of shared memory are settings only where they have an effect; on a standby nothing runs
	runs CONSTANT boolean := NOT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_settings s WHERE s.name = 'pg_saga.max_queues');
	-- a transaction that is open for longer than this
	old CONSTANT interval := '1 hour';
	needed integer;
	missing text[] := '{}';
BEGIN
	-- ---------- schemas and rights ----------

	-- Who can create in a schema can put functions in front of those that somebody else means.
	RETURN QUERY
		SELECT 'schema_create', CASE WHEN n.nspname = 'public' AND n.oid IS DISTINCT FROM invoice_schema THEN 'warning' ELSE 'error' END,
			format('%s may create in schema %I', g.grantee, n.nspname),
			format('REVOKE CREATE ON SCHEMA %I FROM %s', n.nspname, g.grantee)
		FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a,
			LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) g (grantee)
		WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
			AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.grantee AND r.rolsuper)
			AND (n.oid = invoice_schema OR n.nspname = 'saga' OR n.nspname = 'public'
				AND (SELECT s.reset_val ~ E'\\mpublic\\M' FROM pg_settings s WHERE s.name = 'search_path'))
		ORDER BY 3;

	RETURN QUERY
		SELECT 'schema_owner', 'warning',
			format('schema %I, whose functions run as %s, belongs to %s, who is no superuser', n.nspname, e.extowner::regrole, r.rolname),
			format('ALTER SCHEMA %I OWNER TO %s', n.nspname, e.extowner::regrole)
		FROM pg_extension e JOIN pg_namespace n ON n.oid = CASE e.extname WHEN 'pg_saga' THEN 'saga'::regnamespace ELSE e.extnamespace END
			JOIN pg_roles r ON r.oid = n.nspowner
		WHERE e.extname = ANY (extensions) AND n.nspowner <> e.extowner AND NOT r.rolsuper
			-- it stands for the owner of the database
			AND NOT (r.rolname = 'pg_database_owner' AND EXISTS (
				SELECT FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba WHERE d.datname = current_database() AND o.rolsuper))
		ORDER BY 3;

	RETURN QUERY
		SELECT 'public_grant', 'error',
			format('PUBLIC has %s on %s %s', string_agg(DISTINCT a.privilege_type, ', '), lower(o.kind), o.name),
			format('REVOKE ALL ON %s %s FROM PUBLIC', o.kind, o.name)
		FROM (
			SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS name, 'pg_proc'::regclass AS class, p.oid,
				coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
			FROM pg_proc p
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, 'pg_class', c.oid,
				c.relacl || (SELECT array_agg(x) FROM pg_attribute t, unnest(t.attacl) x WHERE t.attrelid = c.oid)
			FROM pg_class c
			UNION ALL
			SELECT 'SCHEMA', quote_ident(n.nspname), 'pg_namespace', n.oid, n.nspacl FROM pg_namespace n) o
			JOIN pg_depend m ON m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
			JOIN pg_extension e ON e.oid = m.refobjid AND e.extname = ANY (extensions),
			aclexplode(o.acl) a
		WHERE a.grantee = 0
		GROUP BY o.kind, o.name
		ORDER BY 3;

	-- The tables hold everybody's messages and secrets, the views all_... have no filter.
	RETURN QUERY
		SELECT 'table_grant', 'error',
			format('%s has %s on %s, which holds what is everybody''s', a.grantee::regrole, string_agg(DISTINCT a.privilege_type, ', '), c.oid::regclass),
			format('REVOKE ALL ON %s FROM %s', c.oid::regclass, a.grantee::regrole)
		FROM pg_class c, aclexplode(c.relacl || (SELECT array_agg(x) FROM pg_attribute t, unnest(t.attacl) x WHERE t.attrelid = c.oid)) a
		WHERE c.relnamespace = 'saga'::regnamespace AND (c.relkind IN ('r', 'p') OR c.relkind = 'v' AND c.relname LIKE E'all\\_%')
			AND a.grantee NOT IN (0, c.relowner)
		GROUP BY c.oid, a.grantee
		ORDER BY 3;

	-- They have every right on every table and view of the server; row security is all that is between them and those of saga.
	RETURN QUERY
		SELECT 'server_role', CASE WHEN b.bypasses THEN 'error' ELSE 'warning' END,
			format('%s is a member of %s, and so %s', m.member::regrole, m.roleid::regrole, CASE m.roleid::regrole::text
				WHEN 'pg_read_all_data' THEN CASE WHEN b.bypasses THEN 'reads all tables of saga, with the secrets (BYPASSRLS)'
					ELSE 'reads the payloads of everybody (saga.all_executions)' END
				ELSE CASE WHEN b.bypasses THEN 'writes tables of saga that hold work of everybody (BYPASSRLS)'
					ELSE 'can lock all tables of saga, and write those that steps of everybody work with' END END),
			format('REVOKE %s FROM %s', m.roleid::regrole, m.member::regrole)
		FROM (SELECT DISTINCT a.roleid, a.member FROM pg_auth_members a) m JOIN pg_roles r ON r.oid = m.member,
			LATERAL (SELECT EXISTS (SELECT FROM pg_roles x WHERE x.rolbypassrls AND NOT x.rolsuper AND pg_has_role(x.oid, m.member, 'MEMBER'))) b (bypasses)
		WHERE m.roleid IN ('pg_read_all_data'::regrole, 'pg_write_all_data'::regrole) AND NOT r.rolsuper
		ORDER BY 3;

	-- ---------- owners ----------

	-- The steps of a superuser's workflow are a superuser's.
	RETURN QUERY
		SELECT 'superuser_owner',
			CASE WHEN o.kind = 'workflow' AND o.name IN ('invoice', 'invoice-inbox') AND invoice_schema IS NOT NULL THEN 'error' ELSE 'warning' END,
			format('%s "%s" belongs to %s, a superuser', o.kind, o.name, r.rolname),
			-- which gives both away
			CASE WHEN o.kind = 'workflow' AND invoice_schema IS NOT NULL AND (o.name = 'invoice' OR o.name = 'invoice-inbox'
					AND EXISTS (SELECT FROM saga.doctor_objects i WHERE i.kind = 'workflow' AND i.name = 'invoice' AND i.owner = o.owner))
				THEN format('SELECT %s.invoice_setup(%L)', invoice_schema, 'app_owner')
				ELSE format('SELECT saga.set_%s_owner(%L, %L%s)', o.kind, o.written, 'app_owner', ', ' || quote_literal(h.hash)) END
		FROM saga.doctor_objects o CROSS JOIN LATERAL (SELECT CASE WHEN o.written <> o.name THEN o.definition_hash END) h (hash)
			JOIN pg_roles r ON r.oid = o.owner
		WHERE r.rolsuper AND o.kind IN ('workflow', 'destination', 'source')
		ORDER BY o.kind, o.name;

	RETURN QUERY
		SELECT 'dropped_owner', 'error',
			format('%s "%s" belongs to role %s, which was dropped', o.kind, o.name, o.owner::oid),
			CASE WHEN o.kind IN ('workflow', 'destination', 'source')
				THEN format('SELECT saga.set_%s_owner(%L, %L, %L)', o.kind, o.written, 'app_owner', o.definition_hash)
				ELSE format('SELECT saga.drop_%s(%L)', o.kind, o.written) END
		FROM saga.doctor_objects o
		WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = o.owner)
		ORDER BY o.kind, o.name;

	-- Later a worker needs no right to log in.
	RETURN QUERY
		SELECT 'owner_login', 'error',
			format('workflow "%s" does not run: its owner %s may not log in', min(o.name), o.owner)
				|| CASE WHEN count(*) > 1 THEN format('; nor do %s others', count(*) - 1) ELSE '' END,
			format('ALTER ROLE %s LOGIN', o.owner)
		FROM saga.doctor_objects o JOIN pg_roles r ON r.oid = o.owner
		WHERE o.kind = 'workflow' AND NOT r.rolcanlogin AND current_setting('server_version_num')::integer < 170000
		GROUP BY o.owner
		ORDER BY 3;

	RETURN QUERY
		SELECT 'owner_connect', 'error',
			format('workflow "%s" does not run: its owner %s has no CONNECT privilege on this database', min(o.name), o.owner)
				|| CASE WHEN count(*) > 1 THEN format('; nor do %s others', count(*) - 1) ELSE '' END,
			format('GRANT CONNECT ON DATABASE %I TO %s', current_database(), o.owner)
		FROM saga.doctor_objects o JOIN pg_roles r ON r.oid = o.owner
		WHERE o.kind = 'workflow' AND NOT has_database_privilege(r.oid, current_database(), 'CONNECT')
		GROUP BY o.owner
		ORDER BY 3;

	-- ---------- destinations and sources ----------

	-- A dump has no secrets (pg_saga.dump_secrets).
	RETURN QUERY
		SELECT 'credentials', 'error', format('%s "%s" refers to the secret "%s" of %s, which is not there', o.kind, o.name, m.secret ->> 'name', m.secret ->> 'owner'),
			format(CASE WHEN m.secret ->> 'owner' = quote_ident(current_user) THEN 'SELECT saga.set_secret(%2$L, %3$L)'
				ELSE 'SET ROLE %1$s; SELECT saga.set_secret(%2$L, %3$L); RESET ROLE' END, m.secret ->> 'owner', m.secret ->> 'name', 'its value')
		FROM saga.doctor_objects o, unnest(o.missing_secrets) m (secret)
		ORDER BY 3;

	RETURN QUERY
		SELECT 'credentials', 'error', format('destination "%s" is held, as its server has refused the credentials: set them anew (saga.set_secret)', o.name),
			format('SELECT saga.resume_destination(%L)', o.written)
		FROM saga.doctor_objects o
		WHERE o.refused
		ORDER BY o.name;

	RETURN QUERY
		SELECT 'allow_private', 'notice',
			format('%s "%s" may reach addresses of the private network: %s', o.kind, o.name, o.settings -> 'allow_private'),
			format('SELECT saga.alter_%s(%L, %L)', o.kind, o.written, o.settings - 'allow_private')
		FROM saga.doctor_objects o
		WHERE o.kind IN ('destination', 'source') AND coalesce(o.settings -> 'allow_private', 'null') NOT IN ('null', 'false', '[]')
		ORDER BY o.kind, o.name;

	RETURN QUERY
		SELECT 'plain_http', 'warning',
			format('%s "%s" sends a secret over http://, where it can be read on its way', o.kind, o.name),
			format('SELECT saga.alter_%s(%L, %L)', o.kind, o.written, replace((o.settings - 'allow_http')::text, '"http://', '"https://'))
		FROM saga.doctor_objects o
		WHERE o.settings::text LIKE '%"http://%' AND (o.settings::text LIKE '%{secret:%' OR o.settings ?| '{auth,credentials}')
		ORDER BY o.kind, o.name;

	-- ---------- what the log would show of SELECT saga.set_secret(...), its parameters too ----------

	RETURN QUERY
		WITH loud (name, pattern, quiet, severity) AS (VALUES
			('log_statement', '^all$', 'ddl', 'warning'),
			('log_min_duration_statement', '^[^-]', '-1', 'warning'),
			('log_min_duration_sample', '^[^-]', '-1', 'warning'),
			('log_transaction_sample_rate', '[1-9]', '0', 'warning'),
			('log_parameter_max_length_on_error', '^(-|0*[1-9])', '0', 'warning'),
			('auto_explain.log_min_duration', '^[^-]', '-1', 'warning'),
			('pgaudit.log', E'(?i)\\m(all|read|function|misc)\\M', 'ddl, role', 'warning'),
			-- only when it waits long for a lock
			('log_lock_waits', '^on$', 'off', 'notice'))
		SELECT 'secret_log', l.severity, format('%s = %s%s: the log can show the value of a secret that is set', l.name, s.value, s.of), s.command
		FROM loud l, LATERAL (
			SELECT p.reset_val AS value, '' AS of, format(mend_setting, l.name, l.quiet) AS command
			FROM pg_settings p WHERE p.name = l.name
			UNION ALL
			SELECT split_part(c, '=', 2), ' of ' || concat_ws(' in ', t.role, t.database),
				concat_ws(' ', 'ALTER', t.role || coalesce(' IN ' || t.database, ''), CASE WHEN t.role IS NULL THEN t.database END, 'RESET', l.name)
			FROM pg_db_role_setting d, unnest(d.setconfig) c, LATERAL (SELECT
				CASE WHEN d.setrole = 0 AND d.setdatabase = 0 THEN 'ROLE ALL' WHEN d.setrole <> 0 THEN 'ROLE ' || d.setrole::regrole END,
				(SELECT 'DATABASE ' || quote_ident(b.datname) FROM pg_database b WHERE b.oid = d.setdatabase)) t (role, database)
			WHERE split_part(c, '=', 1) = l.name
				AND (d.setdatabase = 0 OR d.setdatabase = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database()))) s
		WHERE s.value ~ l.pattern
		ORDER BY 3;

	-- ---------- processes and versions ----------

	-- Shown to superusers and pg_read_all_settings only.
	RETURN QUERY
		SELECT 'preload', 'warning', 'pg_saga is not in shared_preload_libraries: nothing runs by itself (needs a restart)',
			(SELECT 'ALTER SYSTEM SET shared_preload_libraries = ' || string_agg(quote_literal(btrim(l, ' "')), ', ' ORDER BY n)
			 FROM regexp_split_to_table(concat_ws(',', nullif(s.reset_val, ''), 'pg_saga'), ',') WITH ORDINALITY l (l, n))
		FROM pg_settings s
		WHERE s.name = 'shared_preload_libraries' AND s.reset_val !~ E'\\mpg_saga\\M';

	-- The launcher, in each database a coordinator with its workers, publishers and the process for the
	-- sources; and the server's own launcher of logical replication. Null when the library is not loaded.
	SELECT 1 + greatest(1, (SELECT count(DISTINCT a.datname) FROM pg_stat_activity a WHERE a.backend_type = 'pg_saga coordinator'))
			* (1 + current_setting('pg_saga.workers', true)::integer + current_setting('pg_saga.publishers', true)::integer
				+ current_setting('pg_saga.sources', true)::boolean::integer)
		INTO needed;
	RETURN QUERY
		SELECT 'processes', 'error', format('%s = %s does not suffice for the %s processes that pg_saga has by its settings (needs a restart)', s.name, s.reset_val, needed),
			format('ALTER SYSTEM SET %s = %s', s.name, needed + t.others)
		FROM (VALUES ('max_worker_processes', 1), ('pg_saga.max_processes', 0)) t (name, others) JOIN pg_settings s USING (name)
		WHERE s.reset_val::integer < needed + t.others
		ORDER BY 3;

	-- Parallel queries take places from the same number, and anybody can keep them for as long as his query runs.
	RETURN QUERY
		SELECT 'parallel', 'warning', format('%s = %s leaves no place for the %s processes of pg_saga when parallel queries run (%s = %s; needs a restart)',
				s.name, s.reset_val, needed, p.name, p.reset_val),
			format('ALTER SYSTEM SET %s = %s', s.name, needed + 1 + p.reset_val::integer)
		FROM pg_settings s JOIN pg_settings p ON s.name = 'max_worker_processes' AND p.name = 'max_parallel_workers'
		WHERE s.reset_val::integer < needed + 1 + p.reset_val::integer;

	-- What is missing at this moment: who starts processes says so. Others than ours may have the server's places.
	IF runs AND has_function_privilege('saga.worker_status()', 'EXECUTE') THEN
		missing := ARRAY(SELECT w.type FROM saga.worker_status() w
			WHERE w.state = 'waiting' AND w.database = current_database() AND w.owner IS NULL AND w.reason LIKE E'pg\\_saga.%');
		RETURN QUERY
			WITH status AS MATERIALIZED (SELECT * FROM saga.worker_status())
			SELECT 'missing', 'error', m.what, format('ALTER SYSTEM SET max_worker_processes = %s', s.reset_val::integer + needed)
			FROM (
				SELECT format('a %s cannot be started: %s (needs a restart)', CASE w.type WHEN 'source' THEN 'process for sources' ELSE w.type END, w.reason)
				FROM status w
				WHERE w.state = 'waiting' AND w.owner IS NULL AND w.reason LIKE E'%max\\_worker\\_processes%'
					AND coalesce(w.database, current_database()) = current_database()
				UNION ALL
				-- the server did not say why
				SELECT format('the launcher does not run, nor does anything else by itself: it ended a moment ago, or max_worker_processes = %s had no place for it (needs a restart)', s.reset_val)
				FROM pg_settings s
				WHERE s.name = 'max_worker_processes' AND NOT EXISTS (SELECT FROM status w WHERE w.type = 'launcher')) m (what),
				pg_settings s
			WHERE s.name = 'max_worker_processes'
			ORDER BY 3;
	END IF;

	-- The owner of a database may want it so: saga.drain() and saga.publish() do the same in a session.
	RETURN QUERY
		SELECT 'switched_off', CASE WHEN t.type = ANY (missing) THEN 'warning' ELSE 'notice' END,
			format('%s = %s: %s', s.name, s.reset_val, t.what) || CASE WHEN t.type = ANY (missing) THEN ', and something waits' ELSE '' END,
			format(mend_setting, s.name, s.boot_val)
		FROM (VALUES ('worker', 'pg_saga.workers', '0', 'no execution runs by itself'),
				('publisher', 'pg_saga.publishers', '0', 'no message is sent by itself'),
				('source', 'pg_saga.sources', 'off', 'no message is taken from sources')) t (type, name, off, what)
			JOIN pg_settings s ON s.name = t.name AND s.reset_val = t.off
		WHERE runs
		ORDER BY 3;
	RETURN QUERY
		SELECT 'switched_off', 'warning',
			format('pg_saga.databases = %s does not name this database: nothing runs here by itself', s.reset_val),
			format(mend_setting, s.name, s.reset_val || ', ' || quote_ident(current_database()))
		FROM pg_settings s
		WHERE runs AND s.name = 'pg_saga.databases' AND s.reset_val <> '' AND NOT EXISTS (
			SELECT FROM unnest(string_to_array(s.reset_val, ',')) n, btrim(n) t
			WHERE current_database() = CASE WHEN t LIKE '"%"' THEN replace(btrim(t, '"'), '""', '"') ELSE t END);

	-- Nothing of ours can look into these, so that none of their own views, nor anything else, says that work stands still there.
	RETURN QUERY
		WITH named (name) AS (
			SELECT CASE WHEN t LIKE '"%"' THEN replace(btrim(t, '"'), '""', '"') ELSE t END
			FROM pg_settings s, unnest(string_to_array(s.reset_val, ',')) n, btrim(n) t
			WHERE runs AND s.name = 'pg_saga.databases' AND t <> '')
		SELECT 'databases', CASE WHEN n.name IS NULL AND d.datname <> current_database() THEN 'warning' ELSE 'error' END,
			CASE WHEN d.datconnlimit = -2 THEN format('database %I is half gone, as its DROP DATABASE was interrupted: what pg_saga has there stands still', d.datname)
				ELSE format('database %I allows no connections: what pg_saga has there stands still', d.datname) END,
			CASE WHEN d.datconnlimit = -2 THEN format('DROP DATABASE %I', d.datname)
				ELSE format('ALTER DATABASE %I ALLOW_CONNECTIONS true', d.datname) END
		FROM pg_database d LEFT JOIN named n ON n.name = d.datname
		WHERE runs AND (NOT d.datallowconn OR d.datconnlimit = -2)
			AND (n.name IS NOT NULL OR NOT d.datistemplate AND NOT EXISTS (SELECT FROM named))
		UNION ALL
		SELECT 'databases', 'error', format('pg_saga.databases names %I, which does not exist: one that was renamed is not served under its new name', n.name),
			format(mend_setting, 'pg_saga.databases', (SELECT string_agg(quote_ident(o.name), ', ') FROM named o JOIN pg_database d ON d.datname = o.name))
		FROM named n
		WHERE NOT EXISTS (SELECT FROM pg_database d WHERE d.datname = n.name)
		ORDER BY 3;

	-- Work goes on without a place in shared memory, but what is ready must be looked for. Processes say whether one is missing.
	IF has_function_privilege('saga.worker_status()', 'EXECUTE') THEN
		RETURN QUERY
			WITH missing (name, what, needed) AS (
				SELECT 'pg_saga.max_databases', format('%s no place in shared memory', CASE count(*) WHEN 1 THEN 'a database has' ELSE count(*) || ' databases have' END),
					(SELECT count(*) FROM pg_database d WHERE d.datallowconn)
				FROM saga.worker_status() w WHERE w.type = 'coordinator' AND w.reason LIKE '%pg_saga.max_databases%'
				HAVING count(*) > 0
				UNION ALL
				SELECT 'pg_saga.max_queues', 'all places for queues in shared memory are taken',
					(SELECT count(*) FROM saga.doctor_objects o WHERE o.kind IN ('workflow', 'queue', 'destination', 'activity'))
				FROM saga.worker_status() w WHERE w.type = 'launcher' AND w.reason LIKE '%pg_saga.max_queues%')
			SELECT 'places', 'warning', format('%s by %s = %s: what is ready in others is found late (needs a restart)', m.what, m.name, s.reset_val),
				format('ALTER SYSTEM SET %s = %s', m.name, least(greatest(2 * s.reset_val::bigint, m.needed), s.max_val::bigint))
			FROM missing m JOIN pg_settings s ON s.name = m.name
			ORDER BY 3;
	END IF;

	-- Rows that were deleted stay as long as a transaction could see them, and queues are slow to read.
	RETURN QUERY
		SELECT 'xmin', 'warning', x.what || ': what was deleted meanwhile cannot be vacuumed, and queues get slower', x.command
		FROM (
			SELECT format('session %s of %s is in a transaction since %s', a.pid, coalesce(a.usename, a.backend_type), date_trunc('second', a.xact_start)),
				format('SELECT pg_terminate_backend(%s)', a.pid)
			FROM pg_stat_activity a
			WHERE a.xact_start < now() - old AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
				AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
			UNION ALL
			SELECT format('transaction %L was prepared at %s by %s, in database %s', p.gid, date_trunc('second', p.prepared), p.owner, p.database),
				format('ROLLBACK PREPARED %L', p.gid)
			FROM pg_prepared_xacts p
			WHERE p.prepared < now() - old
			UNION ALL
			SELECT format('replication slot %s needs rows since transaction %s', r.slot_name, coalesce(r.xmin, r.catalog_xmin)),
				format('SELECT pg_drop_replication_slot(%L)', r.slot_name)
			FROM pg_replication_slots r
			WHERE greatest(age(r.xmin), age(r.catalog_xmin)) > 10000000) x (what, command)
		ORDER BY 3;

	-- Without pg_cron in the server the jobs are rows in a table; of its jobs everybody sees his own.
	IF to_regclass('cron.job') IS NOT NULL AND has_schema_privilege('cron', 'USAGE') AND has_table_privilege('cron.job', 'SELECT') THEN
		RETURN QUERY
			SELECT 'cron', 'error', 'pg_cron is not in shared_preload_libraries: no job is run (needs a restart)',
				(SELECT 'ALTER SYSTEM SET shared_preload_libraries = ' || string_agg(quote_literal(btrim(l, ' "')), ', ' ORDER BY n)
				 FROM regexp_split_to_table(concat_ws(',', nullif(s.reset_val, ''), 'pg_cron'), ',') WITH ORDINALITY l (l, n))
			FROM pg_settings s
			WHERE s.name = 'shared_preload_libraries' AND s.reset_val !~ E'\\mpg_cron\\M';
		RETURN QUERY EXECUTE $jobs$
			SELECT 'cron', 'warning', format('job %s of pg_cron, %s, is switched off', j.jobid, j.command),
				format('SELECT cron.alter_job(%s, active => true)', j.jobid)
			FROM cron.job j
			WHERE NOT j.active AND j.database = current_database() AND j.command ~ E'saga\\.|invoice_'
			ORDER BY 3 $jobs$;
		IF to_regclass('cron.job_run_details') IS NOT NULL AND has_table_privilege('cron.job_run_details', 'SELECT') THEN
			RETURN QUERY EXECUTE $runs$
				SELECT 'cron', 'warning', format('job %s of pg_cron, %s, failed at %s: %s', j.jobid, j.command, date_trunc('second', d.end_time), d.return_message),
					format('SELECT * FROM cron.job_run_details WHERE jobid = %s ORDER BY runid DESC', j.jobid)
				FROM cron.job j CROSS JOIN LATERAL (SELECT r.status, r.end_time, r.return_message FROM cron.job_run_details r
					WHERE r.jobid = j.jobid ORDER BY r.runid DESC LIMIT 1) d
				WHERE d.status = 'failed' AND j.database = current_database() AND j.command ~ E'saga\\.|invoice_'
				ORDER BY 3 $runs$;
		END IF;
	END IF;

	RETURN QUERY
		SELECT 'version', 'error', format('%s is version %s in this database, and %s on the server', e.extname, e.extversion, a.default_version),
			format('ALTER EXTENSION %I UPDATE', e.extname)
		FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname
		WHERE e.extname = ANY (extensions)
			AND CASE WHEN e.extversion || a.default_version ~ '^[0-9.]+$'
				THEN string_to_array(e.extversion, '.')::integer[] < string_to_array(a.default_version, '.')::integer[] END
		ORDER BY 3;
END
$doctor$;
COMMENT ON FUNCTION saga.doctor() IS
'what is wrong or dangerous in this installation: severity error, warning or notice, and the SQL that mends it. Without rows all is well. Who is no superuser sees what concerns the roles whose rights he has; it needs SELECT on saga.doctor_objects too';

-- What is there now does nothing, and says so only to who looks for it.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_settings WHERE name = 'pg_saga.max_queues') THEN
		RAISE WARNING 'pg_saga is not in shared_preload_libraries: nothing runs by itself'
			USING HINT = 'ALTER SYSTEM SET shared_preload_libraries = ''pg_saga'' (with what is there already), and restart the server. Until then CALL saga.drain() and CALL saga.publish() do the work in a session.';
	END IF;
END
$$;
