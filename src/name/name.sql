-- name: rights that owners grant on what they own. Names themselves are a column of each kind's table, unique per owner.

CREATE TABLE saga.object_grant (
	kind text NOT NULL CHECK (kind IN ('workflow', 'queue', 'destination', 'activity', 'source', 'secret')),
	object_id integer NOT NULL,
	role regrole NOT NULL,
	"right" text NOT NULL CHECK ("right" IN ('start', 'operate', 'read', 'use')),
	granted_by regrole NOT NULL,
	granted_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (kind, object_id, role, "right")
);
COMMENT ON TABLE saga.object_grant IS 'rights that owners granted to other roles; shown by saga.grants';
-- that of a role which was dropped would be restored by its oid, which may be another role's there
SELECT pg_extension_config_dump('saga.object_grant', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = role)');
CREATE TRIGGER owner_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON saga.object_grant
	FOR EACH STATEMENT EXECUTE FUNCTION saga.owner_only();

CREATE FUNCTION saga.grant(kind text, name text, role regrole, "right" text) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_grant';
COMMENT ON FUNCTION saga.grant(text, text, regrole, text) IS
'lets another role use what one owns, without being a member of the owner.
kind: workflow, queue, destination, activity, source, secret. right:
start: start executions of a workflow;
operate: stop, answer and redrive executions; receive, delete, purge and redrive messages of a queue; pause and resume a destination or source, redrive its messages; take the tasks of an activity and answer them;
read: see it, and what it did, in the views;
use: send to a queue; publish to a destination, name it in a definition; name an activity in a definition; refer to a secret in settings (and so send it to a server of one''s choice: grant it to whom you would tell it).
What is granted ends with the object, and when it gets another owner.
Errors: undefined_object (not the caller''s), invalid_parameter_value (no such kind, or right of that kind)';

CREATE FUNCTION saga.revoke(kind text, name text, role regrole, "right" text) RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'saga_revoke';
COMMENT ON FUNCTION saga.revoke(text, text, regrole, text) IS
'takes back what saga.grant gave; nothing happens when it was not granted. What the role began meanwhile goes on';
