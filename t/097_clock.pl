# A clock that is set back holds up nothing but what waits for a time of that clock: pauses of our
# processes are kept in a clock that nobody sets. The server's clock is moved by a library that is loaded
# before it; the monotonic clock is left alone.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Clock;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('clock', { start => 0 }, 'pg_saga.workers = 1', 'pg_saga.sweep_interval = 0');
start_with_clock($node);

sub ran
{
	my ($x, $name) = @_;
	return ok(poll_until($node, "SELECT count(*) FROM done WHERE x = $x", '1'), $name);
}

sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', 'app');
add_workflow($node, 'postgres', 'app', 'wf');
sql(<<'SQL');
CREATE FUNCTION public.fails(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	$$ BEGIN PERFORM saga.fail('Test.Broken', 'on purpose'); RETURN input; END $$;
SET SESSION AUTHORIZATION app;
SELECT saga.create_workflow('broken',
	'{"StartAt": "Fails", "States": {"Fails": {"Type": "Task", "Resource": "sql:public.fails", "End": true}}}');
SQL

my $real = sql('SELECT extract(epoch FROM clock_timestamp())::bigint');
set_clock(-3600);
my $moved = sql('SELECT extract(epoch FROM clock_timestamp())::bigint');
cmp_ok($moved, '<', $real - 3000, 'the clock of the server can be set back');
set_clock(0);

# ---------- a worker that has a pause behind it, or before it ----------

submit($node, 'postgres', 'broken', 1);
ok(poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'FAILED'", '1'), 'an execution fails, which makes its batch raise');
set_clock(-3600);
submit($node, 'postgres', 'wf', 1);
ran(1, 'the next one runs, with the clock an hour behind');
set_clock(0);
submit($node, 'postgres', 'wf', 2);
ran(2, 'and when it is right again');

# ---------- the coordinator, in its pauses ----------

sql('ALTER ROLE app NOLOGIN');
sql(q{SELECT pg_terminate_backend(pid) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL});
submit($node, 'postgres', 'wf', 3);
SKIP:
{
	skip 'workers need no LOGIN since PostgreSQL 17', 1 if $node->pg_version >= 17;
	ok(poll_until($node, q{SELECT count(*) > 0 FROM saga.workers WHERE reason IS NOT NULL}, 't'), 'the owner cannot run, which is tried again later');
}
set_clock(-3600);
# not ALTER ROLE, which wakes the coordinator and ends its pause
sql(q{UPDATE pg_authid SET rolcanlogin = true WHERE rolname = 'app'});
ran(3, 'it is tried again in time, with the clock an hour behind');

# ---------- a receiver: its wait is over in time ----------

sql(q{SELECT saga.create_queue('q')});
set_clock(0);
my $waits = $node->background_psql('postgres', on_error_stop => 0);
$waits->query_until(qr/begun/, "\\echo begun\nSELECT count(*) FROM saga.receive('q', 1, NULL, '3 s');\n\\echo ended\n");
poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%receive%' AND wait_event_type = 'Extension'}, '1');
set_clock(-3600);
ok(poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%saga.receive%' AND wait_event_type = 'Extension'}, '0'),
	'saga.receive ends its wait, with the clock an hour behind');
$waits->quit;
set_clock(0);

# ---------- publishers: rates, and a breaker ----------

my $accounting = start_accounting();

sub destination
{
	my ($name, $url, $limits) = @_;
	return sql("SELECT saga.create_destination('$name', 'http', '{\"url\": \"$url\", \"allow_private\": [\"127.0.0.0/8\"],
		\"max_attempts\": 100, \"base_ms\": 20, \"cap_ms\": 100, \"limits\": $limits}')");
}

my $number = 0;

sub publish
{
	my ($to, $n) = @_;
	$number += $n;
	return sql("SELECT count(saga.publish_to('$to', jsonb_build_object('number', '$to-' || i, 'currency', 'EUR', 'seller', 'S',
		'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb)))
		FROM generate_series($number - $n + 1, $number) i");
}

sub waiting
{
	return "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]' AND o.state = 'waiting'";
}

my %limits = (second => '{"per_second": 3}', minute => '{"per_minute": 3000}', slow => '{"slow_start_s": 2, "concurrency": 4}');
foreach my $name (sort keys %limits)
{
	destination($name, $accounting->url('/v1/invoices'), $limits{$name});
	publish($name, 5);
}
ok(poll_until($node, waiting($_), '0'), "$_: sent with the right clock") foreach sort keys %limits;
publish($_, 5) foreach sort keys %limits;
set_clock(-3600);
publish($_, 5) foreach sort keys %limits;
ok(poll_until($node, waiting($_), '0'), "$_: sent with the clock an hour behind") foreach sort keys %limits;
set_clock(0);
publish($_, 5) foreach sort keys %limits;
ok(poll_until($node, waiting($_), '0'), "$_: and when it is right again") foreach sort keys %limits;

# nothing listens there; held for longer than an hour, as the clock is set back by one
destination('sick', 'http://127.0.0.1:1/', '{"breaker": {"window_s": 5, "min_requests": 2, "failure_share": 0.5, "open_s": 30}}');
publish('sick', 5);
ok(poll_until($node, q{SELECT breaker FROM saga.destinations WHERE name = 'sick'}, 'open'), 'a breaker opens');
set_clock(-3600);
publish('sick', 1);
ok(poll_until($node, q{SELECT coalesce(hold_until, now()) < now() + interval '2 min' FROM saga.destinations WHERE name = 'sick'}, 't'),
	'and holds for no hour, with the clock an hour behind');
set_clock(0);

$node->stop;
done_testing();
