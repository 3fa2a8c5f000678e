# What saga.doctor() says of transactions that are open for long, and of pg_cron, which need a clock that is ahead
# and a server that lacks it.
use strict;
use warnings;

use Test::More;
use Saga::Clock;
use Saga::Test qw(:DEFAULT sql);

my $node = new_saga_node('doctor_time', { start => 0 }, 'max_prepared_transactions = 2');
start_with_clock($node);
create_extensions($node);
my $news = q(SELECT severity, what, command FROM saga.doctor() WHERE "check" = '%s' ORDER BY 2);
sub news { return sql(sprintf $news, $_[0]) }

# ---------- what keeps vacuum from its work ----------
sql("CREATE TABLE t (x int); BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s old'");
is(news('xmin'), '', 'a transaction that is young');
set_clock(7200);
like(news('xmin'), qr/^warning\|transaction 'it''s old' was prepared at .* by \w+, in database postgres: what was deleted meanwhile cannot be vacuumed, and queues get slower\|ROLLBACK PREPARED 'it''s old'$/,
	'one that is old');
sql((split /\|/, news('xmin'))[2]);
is(news('xmin'), '', 'gone after the command');
set_clock(0);

# ---------- pg_cron that is not there, as it was not preloaded ----------
is(news('cron'), '', 'a database without pg_cron');
# its tables, without the server's part
sql(<<'SQL');
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint, schedule text, command text, database text, active boolean);
CREATE TABLE cron.job_run_details (jobid bigint, runid bigint, status text, return_message text, end_time timestamptz);
INSERT INTO cron.job VALUES (1, '* * * * *', 'CALL public.invoice_process()', 'postgres', true), (2, '* * * * *', 'VACUUM', 'postgres', false),
	(3, '* * * * *', 'SELECT saga.start_execution(1)', 'postgres', false), (4, '* * * * *', 'CALL saga.drain()', 'elsewhere', false);
INSERT INTO cron.job_run_details VALUES (1, 1, 'failed', 'ERROR: first', now()), (1, 2, 'succeeded', '1', now()), (2, 3, 'failed', 'ERROR: other', now());
SQL
like(news('cron'), qr/^error\|pg_cron is not in shared_preload_libraries: no job is run \(needs a restart\)\|ALTER SYSTEM SET shared_preload_libraries = 'pg_saga', 'pg_cron'$/m, 'the server does not run it');
like(news('cron'), qr/^warning\|job 3 of pg_cron, SELECT saga\.start_execution\(1\), is switched off\|SELECT cron\.alter_job\(3, active => true\)$/m, 'a job of ours that is off');
is(scalar(split /\n/, news('cron')), 2, 'no other jobs, and none that has succeeded since');
sql(q(INSERT INTO cron.job_run_details VALUES (1, 4, 'failed', 'ERROR:  permission denied', now())));
like(news('cron'), qr/^warning\|job 1 of pg_cron, CALL public\.invoice_process\(\), failed at .*: ERROR:  permission denied\|/m, 'a job whose last run has failed');

$node->stop;
done_testing();
