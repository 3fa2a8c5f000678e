# A lock_timeout that a user has set counts where our functions wait for a lock: in his session, in his
# steps, in saga.drain(). What was pinned to wait for ever would stand still here until the test's end.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('main', 'pg_saga.workers = 1', "pg_saga.databases = 'none'");
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($node, 'postgres', 'alice');

sub as { return sql("SET SESSION AUTHORIZATION alice; $_[0]") }
# what a call says, which may wait for a lock 200 ms by its own setting and is ended by the other one if it does not
sub says
{
	my ($sql, $setting) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', ($setting // "SET lock_timeout = '200ms';") . " SET statement_timeout = '30s'; $sql",
		extra_params => [ '-U', 'alice' ], on_error_stop => 1);
	return $err;
}

my $person = $node->background_psql('postgres', on_error_stop => 0);
$person->query_safe('SET SESSION AUTHORIZATION alice');
my $over = qr/ERROR:  canceling statement due to lock timeout/;

# ---------- in a session ----------

as("SELECT saga.create_queue('q', '1 h'); SELECT saga.send('q', '{}')");
$person->query_safe("BEGIN; SELECT * FROM saga.receive('q')");
like(says("SELECT saga.purge('q')"), $over, 'of a session');
$person->query_safe('ROLLBACK');
is(says("SELECT saga.purge('q')"), '', 'which does nothing where there is nothing to wait for');

# ---------- in a step, of a call and of a worker ----------

sql('CREATE SCHEMA alice AUTHORIZATION alice');
as(q{
	CREATE TABLE alice.done (what text);
	CREATE FUNCTION alice.note(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO alice.done VALUES (i ->> 'what') RETURNING NULL::jsonb $$;
	CREATE FUNCTION alice.starts(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(saga.start_execution('notes', '{"what": "started"}', i ->> 'name')) $$;
	SELECT saga.create_workflow(n, format('{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:alice.%s", "End": true}}}', f)::jsonb)
		FROM (VALUES ('notes', 'note'), ('starts', 'starts')) v (n, f)});
my $hold = q{BEGIN; SELECT saga.start_execution('notes', '{"what": "held"}', 'held')};

$person->query_safe($hold);
as(q{SELECT saga.start_execution('starts', '{"name": "held"}'); SELECT saga.start_execution('notes', '{"what": "behind"}')});
unlike(says('CALL saga.drain()'), qr/statement timeout/, 'a call ends while somebody holds a name that a step needs');
is(sql("SELECT string_agg(what, ' ') FROM alice.done"), 'behind', 'and has done the rest');
$person->query_safe('ROLLBACK');
sql('TRUNCATE alice.done');

sql("ALTER ROLE alice SET lock_timeout = '200ms'");
$person->query_safe('BEGIN; SELECT saga.start_execution(\'notes\', \'{"what": "held"}\', \'held again\')');
as(q{SELECT saga.start_execution('starts', '{"name": "held again"}'); SELECT saga.start_execution('notes', jsonb_build_object('what', g)) FROM generate_series(1, 20) g});
$node->append_conf('postgresql.conf', "pg_saga.databases = 'postgres'");
$node->reload;
poll_until($node, "SELECT count(*) FROM alice.done WHERE what <> 'started'", '20');
pass('the one worker goes on, by the setting of its role');
as(q{SELECT saga.start_execution('notes', '{"what": "later"}')});
poll_until($node, "SELECT count(*) FROM alice.done WHERE what <> 'started'", '21');
pass('and again');
$person->query_safe('ROLLBACK');
poll_until($node, "SELECT count(*) FROM alice.done WHERE what = 'started'", '2');
pass('and does the held one when it can');

$person->quit;
$node->stop;
done_testing();
