# What was accepted is on disk at the commit, also with synchronous_commit = off.
use strict;
use warnings;
use Test::More;
use Saga::Test;

# nobody else flushes meanwhile
my $node = new_saga_node('main', 'synchronous_commit = off', "wal_writer_delay = '10s'", 'wal_writer_flush_after = 0', 'autovacuum = off',
	'pg_saga.workers = 0', 'pg_saga.publishers = 0');
create_extensions($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE held (token text);
CREATE FUNCTION hold(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.held VALUES (i ->> 'token') RETURNING 'null'::jsonb $$;
SELECT saga.create_workflow('held', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken",
	"Parameters": {"token.$": "$$.Task.Token"}, "End": true}}}');
SELECT saga.create_workflow('fails', '{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "No"}}}');
SELECT saga.create_queue('q');
SELECT saga.create_destination('server', 'http', '{"url": "https://api.example.com"}');
SELECT count(saga.start_execution('held', '{}')) FROM generate_series(1, 3);
SELECT count(saga.start_execution('fails', '{}')) FROM generate_series(1, 2);
SQL
$node->safe_psql('postgres', 'CALL saga.drain()');

# Who says that it wrote up to here, and that it is on disk after the commit?
sub is_flushed
{
	my ($call) = @_;
	my ($flushed) = $node->safe_psql('postgres', "BEGIN; $call; SELECT 'at ' || pg_current_wal_insert_lsn() AS at \\gset\nCOMMIT;
		SELECT 'flushed ' || (pg_current_wal_flush_lsn() >= substr(:'at', 4)::pg_lsn)") =~ /^flushed (.*)$/m;
	return is($flushed, 'true', $call);
}

is_flushed(q{SELECT saga.start_execution('held', '1')});
is_flushed(q{SELECT saga.start_execution('held', '1', 'name')});
is_flushed(q{SELECT saga.send('q', '1')});
is_flushed(q{SELECT saga.send_batch('q', ARRAY['1', '2']::jsonb[])});
is_flushed(q{SELECT saga.publish_to('server', '1')});
is_flushed(q{SELECT saga.send_task_success(token, '1') FROM (SELECT token FROM held ORDER BY token LIMIT 1) t});
is_flushed(q{SELECT saga.send_task_failure(token, 'No', '') FROM (SELECT token FROM held ORDER BY token LIMIT 1 OFFSET 1) t});
is_flushed(q{SELECT saga.stop_execution(execution_id) FROM (SELECT execution_id FROM saga.executions WHERE status = 'RUNNING' LIMIT 1) e});
is_flushed(q{SELECT saga.redrive(dead_letter_id) FROM (SELECT dead_letter_id FROM saga.dead_letters ORDER BY 1 LIMIT 1) d});
is_flushed(q{SELECT saga.redrive('fails')});
is_flushed(q{SELECT invoice_setup(quote_ident(current_user)::regrole), invoice_submit('{"number": "1", "seller": {"name": "S"}}')});

$node->stop;
done_testing();
