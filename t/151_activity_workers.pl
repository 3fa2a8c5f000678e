# The workers of demo/workers, as processes: side by side, killed in the midst of a task, told to end, and when the
# server goes and comes back.
use strict;
use warnings;

use Cwd ();
use IPC::Run qw(start);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $servers = Cwd::abs_path('t/servers');
my %commands = (
	python => [ (-x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3'), 'demo/workers/worker.py' ],
	javascript => [ 'node', 'demo/workers/worker.js' ]);
my %needs = (
	python => [ $commands{python}[0], '-c', 'import psycopg2' ],
	javascript => [ 'node', '-e', 'require("pg")' ]);
$ENV{NODE_PATH} = "$servers/node_modules";

my @languages = grep {
	my $language = $_;
	my $there = eval { IPC::Run::run($needs{$language}, '>&', \my $out) };
	die "what the worker in $language needs is not there (make deps)\n" if !$there && ($ENV{CI} // '') eq 'true';
	diag "what the worker in $language needs is not there (make deps)" if !$there;
	$there;
} sort keys %commands;
plan skip_all => 'no client of PostgreSQL for Python or JavaScript (make deps)' unless @languages;

my $node = new_saga_node('workers', 'pg_saga.workers = 2');
create_extensions($node, 'postgres');
sql('CREATE TABLE started (n int, id uuid)');

my @running;

# A worker as a process: { h, out, pid }.
sub worker
{
	my ($language, $activity, %env) = @_;
	my $out = '';
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => scalar getpwuid($>), WORKER_HEARTBEAT => '0.5', %env);
	my $h = start([ @{ $commands{$language} }, $activity ], '<', \undef, '>&', \$out);
	my $worker = { h => $h, out => \$out, pid => $h->{KIDS}[0]{PID} };
	push @running, $worker;
	return $worker;
}

# It ends by itself: its exit status.
sub end_of
{
	my ($worker) = @_;
	$worker->{h}->finish;
	@running = grep { $_ != $worker } @running;
	return $worker->{h}->full_result(0);
}

sub start_tasks { my ($name, $n, $input) = @_; sql("INSERT INTO started SELECT n, saga.start_execution('$name', '$input'::jsonb || jsonb_build_object('number', n)) FROM generate_series(1, $n) n") }
sub results { return sql(q(SELECT string_agg(coalesce(output ->> 'result', error || ' ' || cause), ',' ORDER BY n) FROM started JOIN saga.executions ON id = execution_id)) }
sub all_ended { return poll_until($node, q(SELECT count(*) FROM started JOIN saga.executions ON id = execution_id WHERE status = 'RUNNING'), '0') }
sub has { my ($activity, $worker) = @_; return poll_until($node, "SELECT coalesce('$worker' = ANY (workers), false) FROM saga.activities WHERE name = '$activity'") }

foreach my $language (@languages)
{
	my $definition = JSON::PP->new->encode({ StartAt => 'A', States => { A => { Type => 'Task', End => JSON::PP::true,
		Resource => "arn:aws:states:eu-central-1:123456789012:activity:$language", HeartbeatSeconds => 8,
		Retry => [ { ErrorEquals => ['States.HeartbeatTimeout'], IntervalSeconds => 1 } ] } } });
	sql("TRUNCATE started; SELECT saga.create_activity('$language'), saga.create_workflow('$language', \$q\$$definition\$q\$)");

	# several at once, by two
	my @two = map { worker($language, $language, WORKER_NAME => "$language$_") } 1, 2;
	start_tasks($language, 20, '{}');
	all_ended();
	is(results(), join(',', map { 2 * $_ } 1 .. 20), "$language: tasks are done by two");
	sql("TRUNCATE started");
	start_tasks($language, 1, '{"fail": "because"}');
	all_ended();
	like(results(), qr/^R\w+Error because$/, "$language: what is raised is the error");

	# told to end, it finishes what it has; longer than a heartbeat may stay out
	kill('TERM', $two[1]{pid});
	is(end_of($two[1]), 0, "$language: one that waits ends when it is told");
	sql("TRUNCATE started");
	start_tasks($language, 1, '{"seconds": 12}');
	has($language, "${language}1");
	kill('TERM', $two[0]{pid});
	is(end_of($two[0]), 0, "$language: one that works ends when it is told");
	all_ended();
	is(results(), '2', "$language: and has done its task, with heartbeats");

	# killed in the midst of a task: another gets it
	sql("TRUNCATE started");
	my $killed = worker($language, $language, WORKER_NAME => 'killed');
	start_tasks($language, 1, '{"seconds": 10}');
	has($language, 'killed');
	kill('KILL', $killed->{pid});
	end_of($killed);
	my $heir = worker($language, $language, WORKER_NAME => 'heir');
	all_ended();
	is(results(), '2', "$language: the task of one that is killed is done");
	is(sql(q(SELECT string_agg(type || coalesce(' ' || (details ->> 'workerName'), ''), ',' ORDER BY event_id) FROM saga.execution_history
		JOIN started ON id = execution_id WHERE type LIKE 'Activity%')),
		'ActivityScheduled,ActivityStarted killed,ActivityTimedOut,ActivityScheduled,ActivityStarted heir,ActivitySucceeded', "$language: by another");

	# the server goes while one waits, and comes back
	$node->restart;
	sql("TRUNCATE started");
	start_tasks($language, 3, '{}');
	all_ended();
	is(results(), '2,4,6', "$language: it connects again");
	kill('TERM', $heir->{pid});
	is(end_of($heir), 0, "$language: and ends");
	diag ${ $heir->{out} } if ${ $heir->{out} } !~ /connecting again/;
	like(${ $heir->{out} }, qr/connecting again/, "$language: having said so");
}
is(sql('SELECT sum(waiting + taken) FROM saga.activities'), '0', 'nothing is left over');

$node->stop;
done_testing();

END
{
	local $?;
	kill('KILL', $_->{pid}) foreach @running;
}
