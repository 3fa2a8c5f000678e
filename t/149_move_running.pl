# An execution that a worker runs does not go over to another version, and nobody waits for it; once it waits again it
# goes, and a worker goes on with it in that version.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql as error);

my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node, 'postgres');

# A step that goes on until it may end: its lock says that it runs.
sql(<<'SQL');
CREATE TABLE token (state text, token text);
CREATE TABLE may_end (it boolean);
CREATE FUNCTION ask(i jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.token VALUES (context #>> '{State,Name}', context #>> '{Task,Token}'); SELECT i $$;
CREATE FUNCTION slow(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_lock(149);
	WHILE NOT EXISTS (SELECT FROM public.may_end) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN i;
END $$;
SQL

my $json = JSON::PP->new->canonical;
sub ask { my ($next) = @_; return { Type => 'Task', Resource => 'sql:public.ask.waitForTaskToken', Next => $next } }
sub definition { my ($result) = @_; return $json->encode({ StartAt => 'First', States => { First => ask('Slow'),
	Slow => { Type => 'Task', Resource => 'sql:public.slow', Next => 'Second' }, Second => ask('Last'), Last => { Type => 'Pass', Result => $result, End => JSON::PP::true } } }) }
sub answer { my ($state) = @_; return sql("SELECT saga.send_task_success(token, '{}') FROM token WHERE state = '$state'") }
sub move { return sql("SET statement_timeout = '60s'; SELECT moved, reason FROM saga.move_executions('w', 1, 2)") }
sub stands { my ($id) = @_; return sql("SELECT version, status, current_state FROM saga.executions WHERE execution_id = '$id'") }

sql("SELECT saga.create_workflow('w', '" . definition('one') . "')");
my $id = sql("SELECT saga.start_execution('w')");
sql("SELECT saga.create_workflow('w', '" . definition('two') . "')");
poll_until($node, 'SELECT count(*) FROM token', 1);
answer('First');
poll_until($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 149 AND granted", 1);

is(move(), 'f|it is being run', 'one that is run stays, and is not waited for');
is(stands($id), '1|RUNNING|First', 'in its version');
sql('INSERT INTO may_end VALUES (true)');
poll_until($node, 'SELECT count(*) FROM token', 2);
is(stands($id), '1|RUNNING|Second', 'the run was not disturbed');

is(move(), 't|', 'when it waits it goes');
is(move(), '', 'and is none of that version any more');
answer('Second');
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$id'", 'SUCCEEDED');
is(sql("SELECT version, output FROM saga.executions WHERE execution_id = '$id'"), '2|"two"', 'a worker goes on in the other version');

# while somebody moves it, and has not committed, an answer waits in the queue
$id = sql("SELECT saga.start_execution('w:1')");
poll_until($node, "SELECT count(*) FROM token WHERE state = 'First'", 2);
my $mover = $node->background_psql('postgres', on_error_stop => 0);
$mover->query_safe("BEGIN; SELECT moved FROM saga.move_executions('w', 1, 2)");
sql("SELECT saga.send_task_success(token, '{}') FROM (SELECT token FROM token WHERE state = 'First' ORDER BY ctid DESC LIMIT 1) t");
is(stands($id), '1|RUNNING|First', 'it stands where it stood');
is(move(), 'f|it is being run', 'who comes second does not wait for who came first');
$mover->query_safe('COMMIT');
poll_until($node, "SELECT count(*) FROM token WHERE state = 'Second'", 2);
is(stands($id), '2|RUNNING|Second', 'then it goes on in the version that it was moved to');
$mover->quit;

done_testing();
