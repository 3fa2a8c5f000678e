# SNS through the outbox against fauxqs, and through a proxy that checks the signature and spoils
# answers; tasks of workflows that wait for an answer.
use strict;
use warnings;

use File::Basename;
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT all_sent sql);

my $key_id = 'AKIDOUTBOXTEST';
my $secret = 'wJalr-secret/key:with+signs';
my $dir = File::Temp->newdir('saga-aws-XXXXXX', TMPDIR => 1);
append_to_file("$dir/credentials", "# test\n[default]\naws_access_key_id = WRONG\naws_secret_access_key = WRONG\n"
	  . "[ saga ]\naws_access_key_id=$key_id\naws_secret_access_key = $secret\naws_session_token = token-of-the-session\n");

my $sns = start_fauxqs();
my $proxy = Saga::Server->start('sns_proxy',
	args => [ '--upstream', $sns->url, '--key-id', $key_id, '--secret', $secret ]);
my $plain = $sns->setup('plain', 'subscriber');
my $fifo = $sns->setup('ordered.fifo', 'ordered.fifo');
my $accounting = start_accounting();

my $node = new_saga_node('main');
create_extensions($node);

sub settings
{
	return encode_json({
		endpoint_url => $proxy->url, allow_private => JSON::PP::true, base_ms => 20, cap_ms => 100,
		credentials => { file => "$dir/credentials", profile => 'saga' }, @_ });
}

foreach my $topic ([ plain => $plain ], [ ordered => $fifo ])
{
	my $settings = settings(topic_arn => $topic->[1]{topic_arn});
	sql("SELECT saga.create_destination('$topic->[0]', 'sns', '$settings')");
}

# ---------- Publish and PublishBatch ----------

sql(q{SELECT saga.publish_to('plain', '"one: ü & <x> + %41"', NULL, '{"colour": "red", "n": 7}')});
all_sent();
my ($message) = $sns->receive($plain->{queue_url});
is($message->{body}, "one: \x{fc} & <x> + %41", 'a text arrives as it is');
is($message->{attributes}{colour}, 'red', 'headers are attributes');
is($message->{attributes}{'saga-message-id'}, sql('SELECT idempotency_key FROM saga.outbox'), 'and the id is one');
like(sql("SELECT response ->> 'MessageId' FROM saga.outbox"), qr/^[0-9a-f-]{36}$/, 'the MessageId is kept');

sql(q{SELECT saga.publish_to('plain', jsonb_build_object('n', n)) FROM generate_series(1, 25) n});
all_sent();
my @messages = $sns->receive($plain->{queue_url});
is_deeply([ sort { $a <=> $b } map { decode_json($_->{body})->{n} } @messages ], [ 1 .. 25 ], 'a batch arrives');
my $requests = $proxy->request('GET', '/_requests');
is(scalar(grep { $_->{action} eq 'PublishBatch' } @$requests), 3, 'in three requests');
is(scalar(grep { !$_->{signed} } @$requests), 0, 'each with a right signature');
is(scalar(grep { $_->{token} ne 'token-of-the-session' } @$requests), 0, 'and the session token');

sql(q{SELECT saga.publish_to('ordered', to_jsonb(n), 'k' || n % 2) FROM generate_series(1, 20) n});
all_sent();
@messages = $sns->receive($fifo->{queue_url}, 2);
foreach my $group (0, 1)
{
	my @got = map { $_->{body} } grep { $_->{group} eq "k$group" } @messages;
	is_deeply(\@got, [ grep { $_ % 2 == $group } 1 .. 20 ], "a FIFO topic keeps the order of its groups ($group)");
}

# ---------- what goes wrong ----------

# one wrong message among good ones, a throttled request, an answer that is cut off, a lost connection
my @faults = (
	[ 'a failed entry', { action => 'fail_entry', match => 'bad', code => 'InvalidParameter', sender_fault => JSON::PP::true } ],
	[ 'a batch refused as a whole', { action => 'refuse', match => 'bad', code => 'InvalidParameterValue', status => 400 } ]);
foreach my $fault (@faults)
{
	sql('TRUNCATE saga.outbox, saga.outbox_attempt, saga.dead_letter');
	$proxy->request('POST', '/_faults', [ $fault->[1] ]);
	sql(q{SELECT saga.publish_to('plain', to_jsonb('good ' || n)) FROM generate_series(1, 4) n;
		SELECT saga.publish_to('plain', '"bad"');
		SELECT saga.publish_to('plain', to_jsonb('good ' || n)) FROM generate_series(5, 8) n});
	all_sent();
	is(sql("SELECT string_agg(format('%s %s', state, n), ', ' ORDER BY state) FROM
		(SELECT state, count(*) AS n FROM saga.outbox GROUP BY state) s"),
		'delivered 8, failed 1', "$fault->[0]: only the wrong one fails");
	like(sql('SELECT reason FROM saga.dead_letter'), qr/^SNS\.InvalidParameter/, "$fault->[0]: a dead letter");
	is(scalar $sns->receive($plain->{queue_url}), 8, "$fault->[0]: the good ones arrive, once");
}

my %retried = (
	throttled   => { action => 'refuse', times => 2, code => 'Throttling', status => 400 },
	expired     => { action => 'refuse', times => 1, code => 'ExpiredToken', status => 403 },
	unavailable => { action => 'refuse', times => 1, code => 'ServiceUnavailable', status => 503 },
	html        => { action => 'html', times => 1 },
	truncated   => { action => 'truncate', times => 1 },
	missing     => { action => 'omit_entry', match => '3', times => 1 },
	dropped     => { action => 'drop_after', times => 1 },
	server      => { action => 'fail_entry', match => '2', times => 1, code => 'InternalError', sender_fault => JSON::PP::false });
foreach my $name (sort keys %retried)
{
	sql('TRUNCATE saga.outbox, saga.outbox_attempt');
	$proxy->request('POST', '/_faults', [ $retried{$name} ]);
	sql(q{SELECT saga.publish_to('plain', to_jsonb(n)) FROM generate_series(1, 4) n});
	all_sent();
	is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'"), '4', "$name: sent again, all delivered");
	my %ids;
	push @{ $ids{ $_->{body} } }, $_->{attributes}{'saga-message-id'} foreach $sns->receive($plain->{queue_url});
	is(join(' ', sort keys %ids), '1 2 3 4', "$name: all arrive");
	is(scalar(grep { my $first = $_->[0]; grep { $_ ne $first } @$_ } values %ids), 0, "$name: copies have one id");
}
$proxy->request('POST', '/_faults', []);

# wrong credentials use up no attempts; the message's time is over some time, and it says why
sql("SELECT saga.alter_destination('plain', '"
	  . settings(topic_arn => $plain->{topic_arn}, retry => { deadline_s => 1 }, credentials => { file => "$dir/credentials" }) . "')");
sql(q{SELECT saga.publish_to('plain', '"unsigned"')});
all_sent();
is(sql("SELECT last_class || ' ' || last_error FROM saga.outbox WHERE state = 'failed'"),
	'auth SNS.SignatureDoesNotMatchException: wrong signature', 'a wrong key is an error of its own class');
sql("SELECT saga.alter_destination('plain', '" . settings(topic_arn => $plain->{topic_arn}) . "')");

# ---------- tasks that wait ----------

sql("SELECT saga.create_destination('books', 'http', '"
	  . encode_json({ url => $accounting->url('/v1'), allow_private => JSON::PP::true, base_ms => 20, max_attempts => 3 })
	  . "')");
my $definition = encode_json({
	StartAt => 'Book',
	States => {
		Book => {
			Type => 'Task', Resource => 'arn:aws:states:::http:invoke',
			Parameters => {
				'ApiEndpoint.$' => '$.endpoint', Method => 'POST', 'RequestBody.$' => '$.invoice',
				Authentication => { ConnectionArn => 'unused' } },
			ResultSelector => { 'id.$' => '$.ResponseBody.id', 'status.$' => '$.StatusCode',
				'type.$' => "\$.Headers['content-type'][0]" },
			ResultPath => '$.booked',
			Catch => [ { ErrorEquals => ['States.Http.StatusCode.422'], ResultPath => '$.error', Next => 'Announce' } ],
			Next => 'Announce' },
		Announce => {
			Type => 'Task', Resource => 'arn:aws:states:::sns:publish',
			Parameters => { TopicArn => $plain->{topic_arn}, 'Message.$' => '$.invoice',
				MessageAttributes => { kind => { DataType => 'String', StringValue => 'booked' } } },
			ResultPath => '$.announced', Next => 'Tell' },
		Tell => {
			Type => 'Task', Resource => 'saga:publish',
			Parameters => { Destination => 'plain', 'Payload.$' => '$.invoice.number', Headers => { kind => 'told' } },
			ResultPath => undef, End => JSON::PP::true } } });
sql("SELECT saga.create_workflow('book', \$w\$$definition\$w\$)");

sub run_workflow
{
	my ($endpoint, $number, $total) = @_;
	my $input = encode_json({
		endpoint => $endpoint,
		invoice => { number => $number, currency => 'EUR', seller => 'S', buyer => 'B', total => $total // '1.19',
			tax => '0.19', lines => [ { amount => '1.00' } ] } });
	my $id = sql("SELECT saga.start_execution('book', '$input')");
	poll_until($node, "SELECT status <> 'RUNNING' FROM saga.executions WHERE execution_id = '$id'");
	return decode_json(sql("SELECT jsonb_build_object('status', status, 'output', output, 'error', error, 'cause', cause)
		FROM saga.executions WHERE execution_id = '$id'"));
}

foreach my $endpoint ('saga:books/invoices', $accounting->url('/v1/invoices'))
{
	my $number = $endpoint =~ /^saga/ ? 'w1' : 'w2';
	my $end = run_workflow($endpoint, $number);
	is($end->{status}, 'SUCCEEDED', "$number: an execution that waits for answers") or diag(explain($end));
	is($end->{output}{booked}{status}, 201, "$number: the answer's status");
	is($end->{output}{booked}{type}, 'application/json', "$number: the answer's headers");
	ok($end->{output}{booked}{id}, "$number: the answer's body");
	like($end->{output}{announced}{MessageId}, qr/^[0-9a-f-]{36}$/, "$number: the MessageId");
	all_sent();
	@messages = $sns->receive($plain->{queue_url});
	is_deeply([ sort map { $_->{attributes}{kind} } @messages ], [ 'booked', 'told' ], "$number: both messages arrive");
}
my $end = run_workflow('saga:books/invoices', 'w3', '7.00');
is($end->{output}{error}{Error}, 'States.Http.StatusCode.422', 'an error of the server is caught');
like($end->{output}{error}{Cause}, qr/validation/, 'its cause is the answer');
foreach my $wrong ([ 'https://example.com/', qr/covers/ ], [ 'saga:nothing/x', qr/does not exist/ ],
	[ $accounting->url('/v1/../x'), qr/segment/, 'Saga.InvalidRequest' ], [ $accounting->url('/v10/x'), qr/covers/ ],
	[ 'saga:plain', qr/not of kind/ ])
{
	$end = run_workflow($wrong->[0], 'w4');
	is("$end->{status} $end->{error}", 'FAILED ' . ($wrong->[2] // 'States.Runtime'), "$wrong->[0] is no destination");
	like($end->{cause}, $wrong->[1], "$wrong->[0]: the cause says why");
}

# a task that timed out is not sent any more
sql("SELECT saga.pause_destination('books')");
$definition = encode_json({
	StartAt => 'Book',
	States => {
		Book => {
			Type => 'Task', Resource => 'arn:aws:states:::http:invoke', TimeoutSeconds => 1,
			Parameters => { ApiEndpoint => 'saga:books/invoices', Method => 'POST', RequestBody => { number => 'late' } },
			End => JSON::PP::true } } });
sql(qq{SELECT saga.create_workflow('late', '$definition')});
my $id = sql(q{SELECT saga.start_execution('late', '{}')});
poll_until($node, "SELECT status = 'FAILED' FROM saga.executions WHERE execution_id = '$id'");
is(sql("SELECT state FROM saga.outbox WHERE execution_id = '$id'"), 'withdrawn', 'what timed out is withdrawn');
sql("SELECT saga.resume_destination('books')");
poll_until($node, "SELECT count(*) FROM saga.message WHERE kind = 'o'", '0');
is(scalar(grep { ($_->{number} // '') eq 'late' } @{ $accounting->audit->{requests} }), 0, 'and not sent');

my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
foreach my $file ($dump, $node->logfile)
{
	unlike(slurp_file($file), qr/wJalr|token-of-the-session/, 'no secret in ' . basename($file));
}

$node->stop;
done_testing();
