-- secrets: values that settings of destinations refer to as {secret:NAME}.

CREATE TABLE saga.secret (
	name text PRIMARY KEY,
	owner regrole NOT NULL,
	value text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE saga.secret IS 'secrets that destinations refer to by name; granted to nobody, and left out of pg_dump unless pg_saga.dump_secrets is on';

-- Access tokens, for all publishers of the database.  Lost in a crash: they are fetched anew.
CREATE UNLOGGED TABLE saga.token (
	key text PRIMARY KEY,				-- whose: refresh/SECRET or client/DIGEST
	made_for text NOT NULL,				-- digest of the settings that it was fetched with
	version bigint NOT NULL,			-- grows with each token
	access_token text,
	fetched_at timestamptz,
	expires_at timestamptz,
	failures integer NOT NULL,			-- in a row, since
	retry_at timestamptz,				-- nobody asks again before
	error text
);
COMMENT ON TABLE saga.token IS 'access tokens of OAuth 2 that publishers share; granted to nobody, never dumped';

-- "Unless asked": PGOPTIONS='-c pg_saga.dump_secrets=on' pg_dump ...
SELECT pg_extension_config_dump('saga.secret',
	$$WHERE pg_catalog.current_setting('pg_saga.dump_secrets', true) = 'on'$$);

CREATE FUNCTION saga.secret_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_secret_changed';
CREATE TRIGGER secret_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.secret
	FOR EACH STATEMENT EXECUTE FUNCTION saga.secret_changed();
COMMENT ON FUNCTION saga.secret_changed() IS 'makes every session forget the secrets that it knows';

-- Not STRICT: a value that is missing by mistake must not pass in silence.
CREATE FUNCTION saga.set_secret(name text, value text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'saga_set_secret';
COMMENT ON FUNCTION saga.set_secret(text, text) IS 'makes a secret of the caller''s, or replaces its value. Once it runs no error logs the value, and pg_stat_activity does not show it. What logs statements does log it: log_statement, log_min_duration_statement and its kin and auto_explain, whose lines show parameters as well, and pg_stat_statements where the call is inside a DO or CALL. Switch them off in the session (a superuser: SET LOCAL), and take care that the call is not refused before it runs: a mistake in it, no right to the function, a failed transaction';
CREATE FUNCTION saga.drop_secret(name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_drop_secret';
COMMENT ON FUNCTION saga.drop_secret(text) IS 'drops a secret that no destination refers to';

CREATE VIEW saga.secrets WITH (security_barrier) AS
SELECT s.name, s.owner, s.created_at, s.changed_at
FROM saga.secret s
WHERE pg_catalog.pg_has_role(s.owner, 'MEMBER');
COMMENT ON VIEW saga.secrets IS 'your secrets: their names, never their values';
