# pg_cron fires the schedule: without workers, an invoice is worked on by invoice_process() alone.
use strict;
use warnings;

use Test::More;
use Saga::Test;

# no worker here: only the schedule can do the work
my $node = new_saga_node('cron', { preload => 'pg_saga,pg_cron', start => 0 },
	"pg_saga.databases = 'no_such_database'", "cron.database_name = 'postgres'", "cron.use_background_workers = on",
	"cron.timezone = 'UTC'");
$node->start;
create_extensions($node);

my ($rc, $out, $err) = $node->psql('postgres', q{SELECT invoice_schedule('* * * * *')});
isnt($rc, 0, 'no schedule without the extension');
like($err, qr/cannot be scheduled without pg_cron.*HINT:\s+Run CREATE EXTENSION pg_cron/s, 'and a hint');

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_cron;
CREATE DATABASE elsewhere;
CREATE ROLE invoice_owner LOGIN;
GRANT USAGE ON SCHEMA cron TO invoice_owner;
SELECT invoice_setup('invoice_owner');
SELECT invoice_submit('{"number": "1", "seller": {"name": "Nobody"}}');
SQL
create_extensions($node, 'elsewhere');
($rc, $out, $err) = $node->psql('elsewhere', q{SELECT invoice_schedule('0 6 1 * *')});
like($err, qr/HINT:\s+In the database "postgres" run SELECT cron\.schedule_in_database\('invoice', '0 6 1 \* \*', 'CALL public\.invoice_process\(\)', 'elsewhere', /,
	'from another database the hint is the statement to run');

my $as_owner = 'SET ROLE invoice_owner; ';
is($node->safe_psql('postgres', $as_owner . q{SELECT invoice_schedule('0 6 1 * *') > 0}), 't', 'scheduled for each month');
$node->safe_psql('postgres', $as_owner . q{SELECT invoice_schedule('* * * * *')});
is($node->safe_psql('postgres', q{SELECT jobname, schedule, command, username, database FROM cron.job}),
	'invoice|* * * * *|CALL public.invoice_process()|invoice_owner|postgres', 'scheduled again: replaced');

# the effect; a minute is the shortest schedule there is
my $end = time + 130;
my $status;
do
{
	sleep 1;
	$status = $node->safe_psql('postgres', 'SELECT status FROM invoice_tracking');
} until ($status eq 'failed' || time > $end);
is($status, 'failed', 'the schedule was fired: the invoice was worked on');
is($node->safe_psql('postgres', q{SELECT reason FROM invoice_dlq}), 'InvoiceInvalid', 'to its end');

is($node->safe_psql('postgres', $as_owner . 'SELECT invoice_unschedule(), invoice_unschedule()'), 't|f', 'unscheduled');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'no job is left');

$node->stop;
done_testing();
