# The shared cases of the Amazon States Language on the real engine: workers, timers, functions in SQL.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Conformance;
use Saga::Test;

my $shared = shared_dir();
if (!$shared || !-d "$shared/asl-conformance")
{
	die "the shared cases are not there\n" if ($ENV{CI} // '') eq 'true';
	plan skip_all => 'no shared cases (SAGA_SHARED, ../shared)';
}

# Some cases sleep in a function until they time out: enough workers that others go on.
my $node = new_saga_node('asl', 'pg_saga.workers = 6', 'pg_saga.max_processes = 32');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA f;
CREATE FUNCTION f.id(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION f.echo(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"Return": "HelloWorld"}'::jsonb $$;
CREATE FUNCTION f.hello(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"HelloWorld!"'::jsonb $$;
CREATE FUNCTION f.large(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(repeat('a', 263168)) $$;
CREATE FUNCTION f.wait(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT i FROM pg_catalog.pg_sleep(60) $$;
CREATE FUNCTION f.python(error text, message text, line int, statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM saga.fail(error, jsonb_build_object('errorMessage', message, 'errorType', error, 'requestId', gen_random_uuid(),
		'stackTrace', jsonb_build_array(E'  File "/var/task/handler.py", line ' || line || E', in handler\n    ' || statement || E'\n'))::text);
END $$;
CREATE FUNCTION f.raise(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT f.python('Exception', 'Some exception was raised.', 2, 'raise Exception("Some exception was raised.")') $$;
CREATE FUNCTION f.raise_custom(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT f.python('CustomException', '', 9, 'raise CustomException()') $$;
SELECT saga.bind_resource('arn:aws:lambda:us-east-1:111111111111:function:' || name, 'sql:f.' || f)
FROM (VALUES ('id_function', 'id'), ('echo_function', 'echo'), ('return_bytes_str', 'hello'), ('large_output_string', 'large'),
	('wait_60_seconds', 'wait'), ('raise_exception', 'raise'), ('raise_custom_exception', 'raise_custom')) v(name, f);
CREATE TABLE f.object (bucket text, key text, body text);
CREATE FUNCTION f.get_object(i jsonb) RETURNS text LANGUAGE sql AS $$ SELECT body FROM f.object WHERE bucket = i ->> 'Bucket' AND key = i ->> 'Key' $$;
SELECT saga.bind_resource('arn:aws:states:::s3:getObject', 'sql:f.get_object');
CREATE TABLE c (n int PRIMARY KEY, id uuid);
SQL

sub quote
{
	my ($text) = @_;
	my $tag = 'q';
	$tag .= 'q' while index($text, "\$$tag\$") >= 0;
	return "\$$tag\$$text\$$tag\$";
}

# A worker as one of the shared cases has it, a machine there: takes a task, and does what the states say that follow.
# All cases name one activity, so the machine is chosen by the case: one at a time.
sub work_for
{
	my ($case) = @_;
	my ($states) = map { $_->{activity_worker_machine} ? $_->{activity_worker_machine}{States} : () } @{ $case->{setup} };
	my ($token, $input) = split(/\|/, $node->safe_psql('postgres',
		"SELECT task_token, input FROM saga.get_activity_task('activity-u0000001', 'BASE_ID_ACTIVITY_CONSUMER')"), 2);
	for (my $state = $states->{TaskReceived}; $state; $state = $states->{ $state->{Next} // '' })
	{
		my ($call) = ($state->{Resource} // '') =~ /sfn:sendTask(\w+)$/;
		my $more = { Success => ", '$input'", Failure => ", 'Programmatic Error', '$input'", Heartbeat => '' }->{ $call // '' };
		sleep $state->{Seconds} if $state->{Type} eq 'Wait';
		$node->safe_psql('postgres', "SELECT saga.send_task_" . lc($call) . "('$token'$more)") if $call;
	}
	return;
}

# EXPRESS is another type of machine: those cases are run by saga.simulate() (t/asl/simulate-conformance)
my $needs = qr/^(lambda:|map:distributed$|credentials$|states:startExecution|aws-sdk:sfn:|sqs:sendMessage|s3:getObject$|driver:sqs_|driver:stop$|activity$|driver:activity_consumer$)/;

# A queue of the case's own stands for SQS: what reads it answers as the case's driver does.
my $url = 'https://sqs.us-east-1.amazonaws.com/111111111111/queue';
my %answers = (
	sqs_send_task_success_state_machine => q{saga.send_task_success(token, body -> 'Message')},
	sqs_send_task_failure_state_machine => q{saga.send_task_failure(token, 'Failure error', 'Failure cause')},
	sqs_send_task_failure_without_error => q{saga.send_task_failure(token)},
	sqs_send_heartbeats_and_body => 'saga.send_task_heartbeat(token), ' x 10 . 'saga.send_task_success(token, body)');
my %read;
sub own_queue
{
	my ($case, $n) = @_;
	return if !grep { /^sqs:/ } @{ $case->{needs} };
	my ($driver) = map { /^driver:(sqs_\w+)/ ? $1 : () } @{ $case->{needs} };
	s/\Q$url\E/saga:q$n/g for values %{ $case->{_text} };
	$case->{$_} = parse_json(JSON::PP->new->allow_nonref->allow_bignum->encode($case->{$_}) =~ s/\Q$url\E/saga:q$n/gr) for grep { $case->{$_} } qw(expect setup);
	$read{"q$n"} = $answers{$driver} if $driver;
	return "SELECT saga.create_queue('q$n');\n";
}
# The objects of a case, in a bucket of its own.
sub own_objects
{
	my ($case, $n) = @_;
	my @objects = map { $_->{s3_object} // () } @{ $case->{setup} };
	return '' if !@objects;
	s/\bs3_create_bucket\b/bucket$n/g for values %{ $case->{_text} };
	return join '', map { "INSERT INTO f.object VALUES ('bucket$n', " . quote($_->{Key}) . ', ' . quote($_->{Body}) . ");\n" } @objects;
}
my @cases = grep { is_execution_case($_, $needs) && ($_->{machine_type} // 'STANDARD') eq 'STANDARD' } load_cases("$shared/asl-conformance");
my %has_worker = map { $_ => 1 } grep { grep { $_ eq 'activity' } @{ $cases[$_]{needs} } } 0 .. $#cases;
# what a machine asks for is made later, or is not there on purpose
my $script = "SET client_min_messages = warning;\n";
my %stopped;
for my $n (0 .. $#cases)
{
	$script .= own_queue($cases[$n], $n) // '';
	$script .= own_objects($cases[$n], $n);
	for my $machine (own_machines($cases[$n], "m$n"))
	{
		my ($name, $text) = @$machine;
		utf8::encode($text);
		$script .= sprintf "SELECT saga.create_workflow('%s', %s);\n", $name, quote($text);
	}
	my ($definition, $input) = ($cases[$n]{_text}{definition}, $cases[$n]{_text}{input} // '{}');
	utf8::encode($_) for ($definition, $input);
	$script .= sprintf "SELECT saga.create_workflow('c%d', %s);\n", $n, quote($definition);
	$script .= sprintf "INSERT INTO c VALUES (%d, saga.start_execution('c%d', %s));\n", $n, $n, quote($input) unless $has_worker{$n};
	$stopped{$n} = 1 if grep { $_ eq 'driver:stop' } @{ $cases[$n]{needs} };
}
my ($rc, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
is($err, '', 'every machine was accepted');

# the drivers, until nothing is left for them
for my $n (sort keys %stopped)
{
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM saga.executions JOIN c ON id = execution_id WHERE n = $n AND current_state IS NOT NULL"), 'the one to be stopped waits');
	$node->safe_psql('postgres', "SELECT saga.stop_execution(id) FROM c WHERE n = $n");
}
for my $queue (sort keys %read)
{
	ok($node->poll_query_until('postgres', "SELECT ready > 0 FROM saga.queues WHERE name = '$queue'"), "$queue has its message");
	$node->safe_psql('postgres', "WITH m AS (SELECT * FROM saga.receive('$queue')) SELECT $read{$queue} FROM (SELECT body, body ->> 'TaskToken' AS token, message_id FROM m) AS x");
}
for my $n (sort keys %has_worker)
{
	$node->safe_psql('postgres', "SELECT saga.create_activity('activity-u0000001'); INSERT INTO c VALUES ($n, saga.start_execution('c$n', "
		  . quote($cases[$n]{_text}{input} // '{}') . "))");
	work_for($cases[$n]);
	poll_until($node, "SELECT count(*) FROM saga.execution JOIN c ON id = execution_id WHERE n = $n", '1');
}
ok($node->poll_query_until('postgres', 'SELECT count(*) = (SELECT count(*) FROM c) FROM saga.execution JOIN c ON id = execution_id'),
	scalar(@cases) . ' executions ended');

my $rows = $node->safe_psql('postgres', <<'SQL');
SELECT jsonb_build_object('n', c.n, 'status', e.status, 'error', e.error, 'cause', e.cause, 'output', e.output,
	'events', (SELECT jsonb_agg(jsonb_build_object('type', h.type, 'details', h.details) ORDER BY h.event_id)
		FROM saga.execution_history h WHERE h.execution_id = c.id))
FROM c JOIN saga.executions e ON e.execution_id = c.id ORDER BY c.n
SQL
my ($right, $histories) = (0, 0);
for my $line (split /\n/, $rows)
{
	utf8::decode($line);
	my $got = parse_json($line);
	my $case = $cases[ $got->{n} ];
	delete $got->{output} if $got->{status} ne 'SUCCEEDED';
	delete $got->{events} if !$case->{events};
	my %wrong = compare_execution($case, $got);
	my %history = map { exists $wrong{$_} ? ($_ => delete $wrong{$_}) : () } qw(events states assigned);
	$histories++ if $case->{events};
	$right++ if $case->{events} && !%history;
	diag "$case->{id}: history: $_: " . substr($history{$_}, 0, 500) for sort keys %history;
	ok(!%wrong, $case->{id});
	diag "$_: " . substr($wrong{$_}, 0, 1000) for sort keys %wrong;
}
cmp_ok($right, '>=', 0.98 * $histories, "$right of $histories histories are as AWS had them");
$node->stop;
done_testing();
