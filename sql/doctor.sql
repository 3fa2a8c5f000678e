-- saga.doctor(): each trouble is seen, and gone when the command that it names was run.
\set VERBOSITY terse
\set SHOW_CONTEXT never
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE ROLE app_owner LOGIN;
CREATE ROLE doctor_plain NOLOGIN;
CREATE ROLE doctor_gone;
CREATE ROLE "doctor Odd" LOGIN;
GRANT USAGE ON SCHEMA saga TO app_owner, doctor_plain, doctor_gone, "doctor Odd";
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO app_owner, doctor_plain, doctor_gone, "doctor Odd";
GRANT CREATE ON DATABASE :"DBNAME" TO "doctor Odd";

-- what is said beside what was said before
CREATE TEMP TABLE known AS SELECT * FROM saga.doctor();
GRANT SELECT ON known TO PUBLIC;
CREATE TEMP VIEW news AS SELECT * FROM saga.doctor() EXCEPT SELECT * FROM known;
SELECT count(*) FROM known WHERE "check" NOT IN ('superuser_owner', 'switched_off', 'databases');

-- ---------- schemas and rights ----------
GRANT CREATE ON SCHEMA public TO PUBLIC;
GRANT ALL ON SCHEMA saga TO "doctor Odd";
GRANT EXECUTE ON PROCEDURE saga.publish() TO PUBLIC;
GRANT EXECUTE ON FUNCTION public.invoice_check(json) TO PUBLIC;
GRANT SELECT (name), UPDATE ON saga.queue TO PUBLIC;
GRANT SELECT ON saga.sources TO PUBLIC;
GRANT USAGE ON SEQUENCE saga.queue_queue_id_seq TO PUBLIC;
GRANT USAGE ON SCHEMA saga TO PUBLIC;
GRANT SELECT (value), INSERT ON saga.secret TO "doctor Odd";
GRANT SELECT ON saga.all_executions TO doctor_plain;
SELECT * FROM news ORDER BY 1, 3;
SELECT command FROM news ORDER BY 1 \gexec
SELECT * FROM news;

-- whoever has every right on every table
CREATE ROLE doctor_bypass BYPASSRLS;
GRANT pg_write_all_data TO "doctor Odd";
GRANT pg_read_all_data TO doctor_plain, doctor_bypass;
SELECT * FROM news ORDER BY 1, 3;
GRANT doctor_plain, "doctor Odd" TO doctor_bypass;
SELECT severity, what FROM news ORDER BY 1, 2;
SELECT command FROM news ORDER BY 1 \gexec
SELECT * FROM news;
DROP ROLE doctor_bypass;

-- where the extension is in another schema, and where it is not
DROP EXTENSION pg_invoice;
GRANT CREATE ON SCHEMA public TO PUBLIC;
SELECT * FROM news;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA "odd Schema" AUTHORIZATION "doctor Odd";
GRANT CREATE ON SCHEMA "odd Schema" TO app_owner;
CREATE EXTENSION pg_invoice SCHEMA "odd Schema";
GRANT EXECUTE ON FUNCTION "odd Schema".invoice_check(json) TO PUBLIC;
SELECT * FROM news WHERE "check" <> 'superuser_owner' ORDER BY 1, 3;
SELECT command FROM news WHERE "check" <> 'superuser_owner' ORDER BY 1 \gexec
SELECT * FROM news WHERE "check" <> 'superuser_owner';

-- ---------- owners ----------
SELECT "odd Schema".invoice_setup(quote_ident(current_user)::regrole);
SELECT "check", severity, regexp_replace(what, 'to .*, a', 'to X, a') AS what, command FROM saga.doctor() WHERE what LIKE 'workflow "invoice"%';
SELECT command FROM saga.doctor() WHERE what LIKE 'workflow "invoice"%' \gexec
SELECT * FROM saga.doctor() WHERE what LIKE 'workflow "invoice"%';
\set succeed '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
SELECT saga.create_workflow('doctor-w', :'succeed');
SELECT saga.create_queue('doctor-q') > 0 AS made;
SELECT saga.create_destination('doctor-d', 'http', '{"url": "https://a.invalid/it''s"}') > 0 AS made;
SELECT saga.create_source('doctor-s', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'doctor-q') > 0 AS made;
SELECT "check", severity, regexp_replace(what, 'to .*, a', 'to X, a') AS what, command FROM news WHERE what LIKE '%"doctor-_"%' ORDER BY 3;
SELECT command FROM news WHERE what LIKE '%"doctor-_"%' AND what NOT LIKE 'source%' ORDER BY 1 \gexec
SELECT saga.drop_source('doctor-s');
SELECT saga.drop_queue('doctor-q');
SELECT * FROM news WHERE "check" LIKE '%owner';
SET ROLE doctor_plain;
SELECT saga.create_workflow('doctor-w2', :'succeed');
SELECT saga.create_workflow('doctor-w3', :'succeed');
RESET ROLE;
SELECT "check", severity, what, command FROM news WHERE current_setting('server_version_num')::int < 170000
UNION ALL
SELECT 'owner_login', 'error', 'workflow "doctor-w2" does not run: its owner doctor_plain may not log in; nor do 1 others', 'ALTER ROLE doctor_plain LOGIN'
WHERE current_setting('server_version_num')::int >= 170000;
ALTER ROLE doctor_plain LOGIN;
SELECT * FROM news;
SET ROLE doctor_gone;
SELECT saga.create_workflow('doctor-w4', :'succeed');
SELECT saga.create_queue('doctor-q2') > 0 AS made;
SELECT saga.set_secret('doctor-key', 'Xk-0815-secret');
SELECT saga.create_destination('doctor-d2', 'http', '{"url": "https://a.invalid/"}') > 0 AS made;
RESET ROLE;
SET pg_saga.keep_owners = off;
DROP OWNED BY doctor_gone;
DROP ROLE doctor_gone;
SELECT "check", severity, regexp_replace(what, '\d{5,}', 'N') AS what, regexp_replace(command, '\d{5,}\.', 'N.') AS command FROM news ORDER BY 3;
-- the commands have the number of the role
\set ECHO none
SELECT command FROM news ORDER BY 1 \gexec
\set ECHO all
SELECT * FROM news;

-- ---------- destinations and sources ----------
SELECT saga.set_secret('doctor-key', 'Xk-0815-secret');
SELECT saga.alter_destination('app_owner.doctor-d', '{"url": "http://a.invalid/it''s", "headers": {"X-Key": "{secret:doctor-key}"}, "allow_http": true, "allow_private": ["10.0.0.0/8"]}');
SELECT saga.alter_destination('app_owner.doctor-d2', '{"url": "http://a.invalid/", "allow_private": false}');
SELECT * FROM news ORDER BY 1;
SELECT command FROM news WHERE "check" = 'allow_private' \gexec
SELECT command FROM news \gexec
SELECT * FROM news;
SELECT name, settings FROM saga.destination ORDER BY name;

-- ---------- credentials ----------
-- a secret that a dump has left out
BEGIN;
DELETE FROM saga.secret WHERE name = 'doctor-key';
SELECT * FROM news ORDER BY 3;
SELECT command FROM news \gexec
SELECT * FROM news;
ROLLBACK;
INSERT INTO saga.destination_state (limit_key, breaker, breaker_reason)
	SELECT limit_key, 'open', 'auth' FROM saga.destination WHERE name = 'doctor-d2' ON CONFLICT (limit_key) DO UPDATE SET breaker = 'open', breaker_reason = 'auth';
SELECT * FROM news;
SELECT command FROM news \gexec
SELECT * FROM news;

-- ---------- an owner who may not connect ----------
REVOKE CONNECT ON DATABASE :"DBNAME" FROM PUBLIC;
SELECT "check", severity, what, replace(command, :'DBNAME', 'DB') AS command FROM news;
SELECT command FROM news \gexec
SELECT * FROM news;
GRANT CONNECT ON DATABASE :"DBNAME" TO PUBLIC;
REVOKE CONNECT ON DATABASE :"DBNAME" FROM app_owner, doctor_plain;


-- ---------- what the log shows ----------
-- settings of the server itself are in t/087_doctor.pl
ALTER DATABASE :"DBNAME" SET log_statement = 'all';
ALTER ROLE "doctor Odd" SET log_min_duration_statement = '1min';
ALTER ROLE "doctor Odd" IN DATABASE :"DBNAME" SET log_lock_waits = on;
ALTER ROLE app_owner SET log_statement = 'mod';
ALTER ROLE app_owner SET log_min_duration_statement = -1;
ALTER ROLE app_owner SET log_parameter_max_length_on_error = 0;
SELECT "check", severity, replace(what, :'DBNAME', 'DB') AS what, replace(command, :'DBNAME', 'DB') AS command FROM news ORDER BY 3;
SELECT command FROM news ORDER BY 1 \gexec
SELECT * FROM news;

-- ---------- versions ----------
BEGIN;
UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'pg_saga';
SELECT "check", severity, split_part(what, ',', 1) AS what, command FROM news;
UPDATE pg_extension SET extversion = '9.10' WHERE extname = 'pg_saga';
SELECT * FROM news;
ROLLBACK;

-- ---------- who sees what ----------
GRANT CREATE ON SCHEMA public TO PUBLIC;
SELECT saga.alter_destination(d, '{"url": "https://a.invalid/", "allow_private": true}') FROM unnest('{app_owner.doctor-d,app_owner.doctor-d2}'::text[]) d;
SET ROLE doctor_plain;
SELECT count(*) FROM saga.doctor();
RESET ROLE;
GRANT SELECT ON saga.doctor_objects TO doctor_plain, "doctor Odd";
SET ROLE doctor_plain;
SELECT "check" FROM saga.doctor() WHERE "check" NOT IN ('switched_off', 'databases') ORDER BY 1;
RESET ROLE;
GRANT app_owner TO doctor_plain;
SET ROLE doctor_plain;
SELECT "check" FROM saga.doctor() WHERE "check" NOT IN ('switched_off', 'databases') ORDER BY 1;
RESET ROLE;
-- functions and operators of the caller's are not called
SET ROLE "doctor Odd";
CREATE SCHEMA doctor;
CREATE FUNCTION doctor.format(text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
CREATE FUNCTION doctor.eq(name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR doctor.= (LEFTARG = name, RIGHTARG = text, FUNCTION = doctor.eq);
SET search_path = doctor, pg_catalog;
SELECT "check" FROM saga.doctor() WHERE "check" NOT IN ('switched_off', 'databases') ORDER BY 1;
RESET search_path;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

SELECT saga.drop_destination(format('%s.%I', owner, name)) FROM saga.destination ORDER BY name;
SELECT saga.drop_secret('doctor-key');
DROP SCHEMA doctor CASCADE;
REVOKE CREATE ON DATABASE :"DBNAME" FROM "doctor Odd";
SET pg_saga.keep_owners = off;
DROP OWNED BY app_owner, doctor_plain, "doctor Odd";
DROP ROLE app_owner, doctor_plain, "doctor Odd";
