/*
 * oauth_store.c
 *		Access tokens as rows of saga.token, and the lock on each of them.
 *
 * A refresh token that was used is worth nothing: its successor is committed
 * together with the access token, before that is used.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/cryptohash.h"
#include "common/hashfn.h"
#include "common/sha2.h"
#include "common/statement.h"
#include "endpoint/oauth_private.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Beside that of lease.c. */
#define SAGA_TOKEN_LOCK 0x534a

/* After a failure nobody asks again for this time, doubled with each in a row. */
#define SAGA_TOKEN_PAUSE_MS		1000

/* Rows of saga.token of one owner; a few more, until the next time that it is looked. */
#define SAGA_TOKEN_ROWS_OF_OWNER	1000
#define SAGA_TOKEN_ROWS_TRIMMED		100
#define SAGA_TOKEN_TRIM_EVERY		16

/* Looked at in one go. */
#define SAGA_TOKEN_ROWS_PURGED		500


static SagaStatement read_stmt = {
	.sql = "SELECT made_for, version, access_token, fetched_at, expires_at, failures, retry_at, error "
	"FROM saga.token WHERE key = $key",
	.limit = 1
};

/*
 * The row may be another's for the moment: a session in CALL saga.publish()
 * that has not committed.  An INSERT would wait for it.
 */
static SagaStatement lock_stmt = {
	.sql = "SELECT FROM saga.token WHERE key = $key FOR UPDATE SKIP LOCKED",
	.limit = 1
};

static SagaStatement exists_stmt = {
	.sql = "SELECT FROM saga.token WHERE key = $key",
	.limit = 1
};

static SagaStatement store_stmt = {
	.sql = "INSERT INTO saga.token (key, made_for, version, access_token, fetched_at, expires_at, failures, owner, destination_id, written_at) "
	"VALUES ($key, $made_for, $version, $access_token, $fetched_at, $expires_at, 0, $owner::oid::regrole, $destination_id, now()) "
	"ON CONFLICT (key) DO UPDATE SET made_for = excluded.made_for, "
	"version = excluded.version, access_token = excluded.access_token, fetched_at = excluded.fetched_at, "
	"expires_at = excluded.expires_at, failures = 0, retry_at = NULL, error = NULL, "
	"owner = excluded.owner, destination_id = excluded.destination_id, written_at = excluded.written_at"
};

/* The token that is there may still be good: it is asked for early. */
static SagaStatement fail_stmt = {
	.sql = "INSERT INTO saga.token AS t (key, made_for, version, failures, retry_at, error, owner, destination_id, written_at) "
	"VALUES ($key, $made_for, 0, $failures, $retry_at, $error, $owner::oid::regrole, $destination_id, now()) "
	"ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, "
	"retry_at = excluded.retry_at, error = excluded.error, made_for = excluded.made_for, "
	"access_token = CASE WHEN t.made_for = excluded.made_for THEN t.access_token END, "
	"owner = excluded.owner, destination_id = excluded.destination_id, written_at = excluded.written_at"
};

/*
 * An owner has so many rows, and a few more until the next time that it is
 * looked: each is a copy that others can do without.  Those are removed that
 * were written longest ago.
 */
static SagaStatement trim_stmt = {
	.sql = "DELETE FROM saga.token WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.token WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM saga.token WHERE owner = $owner::oid::regrole ORDER BY written_at DESC "
	"OFFSET " CppAsString2(SAGA_TOKEN_ROWS_OF_OWNER) " LIMIT " CppAsString2(SAGA_TOKEN_ROWS_TRIMMED) ")) FOR UPDATE SKIP LOCKED))"
};

/*
 * Expired, or of a destination that is not there any more or has other settings
 * since, maybe for the same token: then it is fetched once more.
 */
static SagaStatement purge_stmt = {
	.sql = "WITH seen AS MATERIALIZED (SELECT ctid AS at, key FROM saga.token WHERE key > $after "
	"ORDER BY key LIMIT " CppAsString2(SAGA_TOKEN_ROWS_PURGED) "), "
	"old AS MATERIALIZED (SELECT t.ctid AS at FROM saga.token t WHERE t.ctid = ANY (ARRAY(SELECT at FROM seen)) "
	"AND (greatest(t.expires_at, t.retry_at) < now() - interval '1 day' OR NOT EXISTS ("
	"SELECT FROM saga.destination d WHERE d.destination_id = t.destination_id AND d.owner = t.owner "
	"AND d.changed_at <= t.written_at)) FOR UPDATE OF t SKIP LOCKED), "
	"gone AS (DELETE FROM saga.token WHERE ctid = ANY (ARRAY(SELECT at FROM old))) "
	"SELECT key FROM seen ORDER BY key"
};

/* Whoever makes a destination that refers to the secret keeps it from being dropped, and not from being changed. */
static SagaStatement lock_secret_stmt = {
	.sql = "SELECT value FROM saga.secret WHERE secret_id = $secret_id FOR NO KEY UPDATE SKIP LOCKED",
	.limit = 1
};

static SagaStatement rotate_stmt = {
	.sql = "UPDATE saga.secret SET value = $value, changed_at = now() WHERE secret_id = $secret_id"
};

/* ---------- whose ---------- */

/*
 * Of the settings, references as they are written: no secret is in it.  And
 * whose: a token outlives its secret and its destination, and whoever wrote
 * the same settings after that would be given it.
 */
static char *
digest_of(const SagaAuth *auth, Oid owner)
{
	char		role[12];
	const char *texts[] = {
		auth->token_url_text, auth->client_id, auth->client_secret, auth->scope, auth->audience,
		auth->refresh_token, auth->basic ? "basic" : "form", role
	};
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc0(2 * sizeof(digest) + 1);
	bool		ok = ctx != NULL && pg_cryptohash_init(ctx) >= 0;
	int			i;

	snprintf(role, sizeof(role), "%u", owner);
	for (i = 0; ok && i < lengthof(texts); i++)
	{
		const char *text = texts[i] != NULL ? texts[i] : "";

		/* with the NUL behind it */
		ok = pg_cryptohash_update(ctx, (const uint8 *) text, strlen(text) + 1) >= 0;
	}
	if (!ok || pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a SHA256 hash");
	pg_cryptohash_free(ctx);
	(void) hex_encode((const char *) digest, sizeof(digest), hex);
	return hex;
}

/* Who shares a refresh token, by its key, shares the lock on it, whatever else differs. */
void
saga_oauth_identify(SagaAuth *auth, Oid owner)
{
	auth->token_made_for = digest_of(auth, owner);
	auth->token_key = auth->type == SAGA_AUTH_OAUTH_REFRESH ?
		psprintf("refresh/%s", auth->refresh_token) : psprintf("client/%s", auth->token_made_for);
}

/* ---------- one at a time ---------- */

/*
 * An advisory lock of a class of its own, by the hash of the key: two keys
 * that share a hash only wait for each other.
 */
static void
set_tag(LOCKTAG *tag, const char *key)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) key, strlen(key), 0);

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, SAGA_TOKEN_LOCK);
}

bool
saga_oauth_lock(SagaToken *token)
{
	LOCKTAG		tag;

	if (token->locked)
		return true;
	set_tag(&tag, token->key);
	token->locked = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	return token->locked;
}

void
saga_oauth_unlock(SagaToken *token)
{
	LOCKTAG		tag;

	if (!token->locked)
		return;
	set_tag(&tag, token->key);
	(void) LockRelease(&tag, ExclusiveLock, true);
	token->locked = false;
}

/* ---------- this process's copy ---------- */

/*
 * The old text is overwritten before it is freed; by NULL: there is none any
 * more.
 */
static void
replace(char **text, const char *by)
{
	char	   *copy = by != NULL ? MemoryContextStrdup(TopMemoryContext, by) : NULL;

	if (*text != NULL)
	{
		explicit_bzero(*text, strlen(*text));
		pfree(*text);
	}
	*text = copy;
}

void
saga_oauth_adopt(SagaToken *token, const char *access_token, int64 version, TimestampTz fetched_at,
				 TimestampTz expires_at)
{
	replace(&token->access_token, access_token);
	token->version = version;
	token->fetched_at = fetched_at;
	token->expires_at = expires_at;
}

void
saga_oauth_set_error(SagaToken *token, const char *error, int failures, TimestampTz retry_at)
{
	replace(&token->error, error);
	token->failures = failures;
	token->retry_at = retry_at;
}

/* ---------- in a transaction ---------- */

/* A parameter that holds a credential, and has done its work. */
static void
wipe_param(const SagaParam *param)
{
	if (!param->isnull)
		explicit_bzero(DatumGetPointer(param->value), VARSIZE_ANY(DatumGetPointer(param->value)));
}

/*
 * Takes over what is newer than what this process has.  A row of other
 * settings for the same refresh token brings its failure, not its token.
 */
static void
read_row(SagaToken *token, SagaRows *rows)
{
	char	   *made_for = saga_column_text(rows, "made_for");
	int64		version = saga_column_int8(rows, "version");
	char	   *access_token = saga_column_text(rows, "access_token");

	if (access_token != NULL && version > token->version && strcmp(made_for, token->made_for) == 0)
		saga_oauth_adopt(token, access_token, version, saga_column_timestamptz(rows, "fetched_at"),
						 saga_column_timestamptz(rows, "expires_at"));
	if (access_token != NULL)
		explicit_bzero(access_token, strlen(access_token));
	saga_oauth_set_error(token, saga_column_text(rows, "error"), saga_column_int4(rows, "failures"),
						 saga_column_timestamptz(rows, "retry_at"));
	/* the next one is greater, whatever the clock does */
	token->new_version = version;
}

void
saga_oauth_read(SagaToken *token)
{
	SagaRows   *rows = saga_query(&read_stmt, saga_param_text("key", token->key));

	if (saga_rows_next(rows))
		read_row(token, rows);
	saga_rows_wipe(rows);
}

/*
 * False: the row is locked.  Who holds it may be a person who sets a new
 * refresh token, and takes his time; nothing is waited for here.
 */
static bool
store_refresh_token(SagaToken *token)
{
	const char *key = token->destination->auth.refresh_token;
	SagaParam	secret_id = saga_param_int4("secret_id", saga_secret_row(key));
	SagaRows   *rows = saga_query(&lock_secret_stmt, secret_id);
	char	   *value = saga_rows_next(rows) ? saga_column_text(rows, "value") : NULL;
	bool		same;

	saga_rows_wipe(rows);
	if (value == NULL)
		return saga_secret_row(key) == 0;	/* dropped: nothing to keep it in */
	/* else somebody has set another one while we asked; that one counts */
	same = strcmp(value, token->old_refresh_token) == 0;
	explicit_bzero(value, strlen(value));
	if (same)
	{
		SagaParam	new_value = saga_param_text("value", token->new_refresh_token);

		(void) saga_run(&rotate_stmt, secret_id, new_value);
		wipe_param(&new_value);
	}
	return true;
}

/* With the lock on the key nobody else makes the row.  False: somebody has it locked. */
static bool
try_lock_row(const SagaToken *token)
{
	SagaParam	key = saga_param_text("key", token->key);

	return saga_run(&lock_stmt, key) > 0 || saga_run(&exists_stmt, key) == 0;
}

/* ---------- rows that are not needed ---------- */

bool
saga_oauth_purge(void)
{
	static char *position = NULL;	/* the last key that was looked at; NULL: before the first */
	SagaRows   *rows = saga_query(&purge_stmt, saga_param_text("after", position != NULL ? position : ""));
	bool		more = rows->count == SAGA_TOKEN_ROWS_PURGED;

	if (position != NULL)
		pfree(position);
	position = NULL;
	if (more)
	{
		saga_row(rows, rows->count - 1);
		position = MemoryContextStrdup(TopMemoryContext, saga_column_text(rows, "key"));
	}
	saga_rows_free(rows);
	return more;
}

/*
 * Looked at once in some writes of this process, so that storing stays cheap.
 */
static void
remove_rows(const SagaToken *token)
{
	static uint32 written = 0;

	if (written++ % SAGA_TOKEN_TRIM_EVERY == 0)
		(void) saga_run(&trim_stmt, saga_param_oid("owner", token->owner));
}

/* ---------- storing ---------- */

/*
 * The version is above all earlier ones, because processes tell by it which
 * token is newer.
 */
static void
store_token(SagaToken *token)
{
	SagaParam	access_token = saga_param_text("access_token", token->new_access_token);

	token->new_version = Max(token->new_version + 1, (int64) token->asked_at);

	/*
	 * its times count from before it was asked for: early is harmless, late
	 * is not
	 */
	(void) saga_run(&store_stmt,
					saga_param_text("key", token->key),
					saga_param_text("made_for", token->made_for),
					saga_param_int8("version", token->new_version),
					access_token,
					saga_param_timestamptz("fetched_at", token->asked_at),
					saga_param_timestamptz("expires_at", TimestampTzPlusMilliseconds(token->asked_at, token->lifetime_ms)),
					saga_param_oid("owner", token->owner),
					saga_param_int4("destination_id", token->destination->destination_id));
	wipe_param(&access_token);
	remove_rows(token);
}

/* The pause doubles with each failure in a row. */
static void
store_failure(SagaToken *token)
{
	int64		pause = saga_backoff(SAGA_TOKEN_PAUSE_MS, token->failures, SAGA_TOKEN_MAX_PAUSE_MS);
	TimestampTz retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause);

	(void) saga_run(&fail_stmt,
					saga_param_text("key", token->key),
					saga_param_text("made_for", token->made_for),
					saga_param_int4("failures", token->failures + 1),
					saga_param_timestamptz("retry_at", retry_at),
					saga_param_text("error", token->new_error),
					saga_param_oid("owner", token->owner),
					saga_param_int4("destination_id", token->destination->destination_id));
	remove_rows(token);
	saga_oauth_set_error(token, token->new_error, token->failures + 1, retry_at);
}

bool
saga_oauth_store(SagaToken *token)
{
	if (!try_lock_row(token))
		return false;
	if (token->new_error != NULL)
	{
		store_failure(token);
		return true;
	}
	if (token->new_refresh_token != NULL && token->old_refresh_token != NULL &&
		strcmp(token->new_refresh_token, token->old_refresh_token) != 0)
	{
		if (!store_refresh_token(token))
			return false;
		/* on disk before it is used, whatever synchronous_commit says */
		ForceSyncCommit();
	}
	store_token(token);
	return true;
}
