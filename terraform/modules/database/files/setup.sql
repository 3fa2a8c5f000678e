-- What the database invoice needs, on a new cluster or on one that has it already: what is there
-- stays as it is. Run by psql as a superuser, with the names of two files' places in its environment:
-- PG_SAGA_CONFIG, the member "setup" of instance.json, and PG_SAGA_SECRETS, a directory with passwords.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
-- passwords are in no log
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
-- the first standby is made from what this makes
SET synchronous_commit = local;

\set config `cat "$PG_SAGA_CONFIG"`
\set app_password `cat "$PG_SAGA_SECRETS/app"`
\set replicator_password `cat "$PG_SAGA_SECRETS/replicator"`
CREATE TEMP TABLE setup AS SELECT :'config'::jsonb AS c;

-- Before anything is in it: who may create functions there could put one beside ours.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS pg_cron;
CREATE EXTENSION IF NOT EXISTS pg_invoice CASCADE;

-- Roles: the owner of the workflow has no password, workers need none.
SELECT format('CREATE ROLE %I %s', r.name, r.options)
  FROM (VALUES ('invoice_owner', 'LOGIN'), ('invoice_app', 'LOGIN'), ('invoice_replicator', 'LOGIN REPLICATION'),
		('invoice_clerk', 'NOLOGIN'), ('invoice_auditor', 'NOLOGIN')) AS r (name, options)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.name) \gexec
ALTER ROLE invoice_app PASSWORD :'app_password';
ALTER ROLE invoice_replicator PASSWORD :'replicator_password';
\unset app_password
\unset replicator_password

GRANT USAGE ON SCHEMA cron TO invoice_owner;
SELECT invoice_setup('invoice_owner');
GRANT EXECUTE ON FUNCTION invoice_submit(json), invoice_submit_batch(json), invoice_validate(json) TO invoice_app;
GRANT SELECT ON invoice_tracking TO invoice_app;
GRANT SELECT ON invoice_tracking, invoice_held, invoice_dlq TO invoice_clerk;
GRANT EXECUTE ON FUNCTION invoice_approve(uuid), invoice_reject(uuid, text), invoice_cancel(uuid),
	invoice_retry(uuid, json, boolean), invoice_violated_rules(text) TO invoice_clerk;
GRANT SELECT ON invoice, invoice_line, invoice_vat, invoice_approval, invoice_document_history TO invoice_auditor;

-- Destinations: one for each topic, and the services. Changed later by saga.alter_destination.
SELECT format('SELECT saga.create_destination(%1$L, %2$L, %3$L), saga.set_destination_owner(%1$L, %4$L)',
		d.name, d.kind, d.settings, 'invoice_owner')
  FROM (SELECT key AS name, 'sns' AS kind, jsonb_build_object('topic_arn', value) AS settings
		FROM setup, jsonb_each(c->'topic_arns')
		UNION ALL
		SELECT key, 'http', value FROM setup, jsonb_each(c->'destinations')) AS d
 WHERE NOT EXISTS (SELECT FROM saga.destination e WHERE e.name = d.name AND e.owner = 'invoice_owner'::regrole) \gexec

-- Invoices are taken from SQS once there is somewhere for them to go. The rights of the instance are
-- given to the source by who may use them; it belongs to the owner of the workflow, and so does the
-- workflow that takes its messages in.
SELECT format('SELECT invoice_source(%L, %L)', 'invoices',
		jsonb_build_object('queue_url', c->'queue_url', 'region', c->'region'))
  FROM setup
 WHERE c->>'queue_url' IS NOT NULL
   AND NOT EXISTS (SELECT FROM saga.source WHERE name = 'invoices' AND owner = 'invoice_owner'::regrole)
   AND (SELECT count(*) FROM saga.destination WHERE owner = 'invoice_owner'::regrole
			AND name IN ('accounting', 'payments', 'invoice-events')) = 3 \gexec

-- A schedule belongs to the role that made it.
SELECT 'SET ROLE invoice_owner', format('SELECT invoice_schedule(%L)', c->>'monthly_schedule'), 'RESET ROLE'
  FROM setup
 WHERE c->>'monthly_schedule' IS NOT NULL AND NOT EXISTS (SELECT FROM cron.job WHERE jobname = 'invoice') \gexec

-- A slot for each standby; whichever instance is the primary keeps the others'.
SELECT format('SELECT pg_create_physical_replication_slot(%L)', slot)
  FROM setup, jsonb_array_elements_text(c->'slots') AS slot
 WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = slot) \gexec
