# SQS through the outbox against fauxqs, behind a proxy that checks the signature and spoils
# answers; the AWS SDK is the reader. Tasks of workflows that send to a queue.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT all_sent sql);

my $key_id = 'AKIDOUTBOXTEST';
my $secret = 'wJalr-secret/key:with+signs';
my $dir = File::Temp->newdir('saga-aws-XXXXXX', TMPDIR => 1);
append_to_file("$dir/credentials", "[saga]\naws_access_key_id=$key_id\naws_secret_access_key = $secret\n"
	  . "aws_session_token = token-of-the-session\n[default]\naws_access_key_id = W\naws_secret_access_key = W\n");

my $aws = start_fauxqs();
my $proxy = Saga::Server->start('sns_proxy',
	args => [ '--upstream', $aws->url, '--key-id', $key_id, '--secret', $secret ]);
my %url = (plain => $aws->queue('plain', 300), ordered => $aws->queue('ordered.fifo', 300));
my $node = new_saga_node('main');
create_extensions($node);

sub settings
{
	return encode_json({
		endpoint_url => $proxy->url, region => 'us-east-1', allow_private => JSON::PP::true, base_ms => 20, cap_ms => 100,
		credentials => { file => "$dir/credentials", profile => 'saga' }, @_ });
}

sub faults { return $proxy->request('POST', '/_faults', [@_]) }

foreach my $name (sort keys %url)
{
	my $settings = settings(queue_url => $url{$name});
	sql("SELECT saga.create_destination('$name', 'sqs', '$settings')");
}

# ---------- SendMessage and SendMessageBatch (this server refuses what is above U+FFFF, which AWS takes) ----------

sql(q{SELECT saga.publish_to('plain', '"one: ü & <x> \"quoted\" + \\\\ %41\n€"', NULL, '{"colour": "red", "n": 7}')});
all_sent();
my ($message) = $aws->receive($url{plain});
is($message->{body}, "one: \x{fc} & <x> \"quoted\" + \\ %41\n\x{20ac}", 'a text arrives as it is');
is($message->{attributes}{colour}, 'red', 'headers are attributes');
is($message->{attributes}{'saga-message-id'}, sql('SELECT idempotency_key FROM saga.outbox'), 'the id is one');
is(sql("SELECT response ->> 'MessageId' FROM saga.outbox"), $message->{id}, 'the MessageId is kept');
like(sql("SELECT response ->> 'MD5OfMessageBody' FROM saga.outbox"), qr/^[0-9a-f]{32}$/, 'and the checksum');

sql(q{SELECT saga.publish_to('plain', jsonb_build_object('n', n)) FROM generate_series(1, 25) n});
all_sent();
my @messages = $aws->receive($url{plain});
is_deeply([ sort { $a <=> $b } map { decode_json($_->{body})->{n} } @messages ], [ 1 .. 25 ], 'a batch arrives');
my $requests = $proxy->request('GET', '/_requests');
is(scalar(grep { $_->{action} eq 'SendMessageBatch' } @$requests), 3, 'in three requests');
is(scalar(grep { !$_->{signed} } @$requests), 0, 'each with a right signature');
is(scalar(grep { $_->{token} ne 'token-of-the-session' } @$requests), 0, 'and the session token');

# 100 kB each: two fit into a request
sql(q{SELECT saga.publish_to('plain', to_jsonb(n || repeat('x', 100000))) FROM generate_series(1, 5) n});
all_sent();
is(scalar $aws->receive($url{plain}), 5, 'large messages arrive');
$requests = $proxy->request('GET', '/_requests');
is(scalar(@$requests), 1 + 3 + 3, 'in three requests, as a batch has a limit');

sql(q{SELECT saga.publish_to('ordered', to_jsonb(n), 'k' || n % 2) FROM generate_series(1, 20) n});
all_sent();
@messages = $aws->receive($url{ordered}, 2);
foreach my $group (0, 1)
{
	my @got = map { $_->{body} } grep { $_->{group} eq "k$group" } @messages;
	is_deeply(\@got, [ grep { $_ % 2 == $group } 1 .. 20 ], "a FIFO queue keeps the order of its groups ($group)");
}

# ---------- what goes wrong ----------

my @faults = (
	[ 'a failed entry', { action => 'fail_entry', match => 'bad', code => 'InvalidMessageContents', sender_fault => JSON::PP::true } ],
	[ 'a batch refused as a whole', { action => 'refuse', match => 'bad', code => 'InvalidMessageContents', status => 400 } ]);
foreach my $fault (@faults)
{
	sql('TRUNCATE saga.outbox, saga.outbox_attempt, saga.dead_letter');
	faults($fault->[1]);
	sql(q{SELECT saga.publish_to('plain', to_jsonb('good ' || n)) FROM generate_series(1, 4) n;
		SELECT saga.publish_to('plain', '"bad"');
		SELECT saga.publish_to('plain', to_jsonb('good ' || n)) FROM generate_series(5, 8) n});
	all_sent();
	is(sql("SELECT string_agg(format('%s %s', state, n), ', ' ORDER BY state) FROM
		(SELECT state, count(*) AS n FROM saga.outbox GROUP BY state) s"),
		'delivered 8, failed 1', "$fault->[0]: only the wrong one fails");
	is(sql('SELECT reason FROM saga.dead_letter'), 'SQS.InvalidMessageContentsException', "$fault->[0]: a dead letter");
	is(scalar $aws->receive($url{plain}), 8, "$fault->[0]: the good ones arrive, once");
}

my %retried = (
	throttled   => { action => 'refuse', times => 2, code => 'RequestThrottled', status => 400 },
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
	faults($retried{$name});
	sql(q{SELECT saga.publish_to('plain', to_jsonb(n)) FROM generate_series(1, 4) n});
	all_sent();
	is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'"), '4', "$name: sent again, all delivered");
	my %ids;
	push @{ $ids{ $_->{body} } }, $_->{attributes}{'saga-message-id'} foreach $aws->receive($url{plain});
	is(join(' ', sort keys %ids), '1 2 3 4', "$name: all arrive");
	is(scalar(grep { my $first = $_->[0]; grep { $_ ne $first } @$_ } values %ids), 0, "$name: copies have one id");
}
faults();

# a FIFO queue takes the copy for what it is
faults({ action => 'drop_after', times => 1 });
sql('TRUNCATE saga.outbox, saga.outbox_attempt');
sql(q{SELECT saga.publish_to('ordered', '"once"', 'g')});
all_sent();
is(sql("SELECT state FROM saga.outbox"), 'delivered', 'FIFO: an answer was lost');
is(scalar $aws->receive($url{ordered}, 2), 1, 'FIFO: the message is there once');

sql("SELECT saga.alter_destination('plain', '" . settings(queue_url => "$url{plain}-gone", retry => { deadline_s => 1 }) . "')");
sql(q{SELECT saga.publish_to('plain', '"lost"')});
all_sent();
like(sql("SELECT last_class || ' ' || last_error FROM saga.outbox WHERE state = 'failed'"),
	qr/^auth SQS\.QueueDoesNotExistException/, 'a queue that is not there is for an operator to repair');
sql("SELECT saga.alter_destination('plain', '" . settings(queue_url => $url{plain}) . "')");

# ---------- tasks ----------

sub run_task
{
	my ($name, %parameters) = @_;
	my $definition = encode_json({ StartAt => 'Send', States => { Send => {
		Type => 'Task', Resource => 'arn:aws:states:::sqs:sendMessage', Parameters => \%parameters, End => JSON::PP::true } } });
	sql("SELECT saga.create_workflow('$name', \$w\$$definition\$w\$)");
	my $id = sql("SELECT saga.start_execution('$name', '{\"n\": 1}')");
	poll_until($node, "SELECT status <> 'RUNNING' FROM saga.executions WHERE execution_id = '$id'");
	return decode_json(sql("SELECT jsonb_build_object('id', execution_id, 'status', status, 'output', output, 'error', error,
		'cause', cause) FROM saga.executions WHERE execution_id = '$id'"));
}

foreach my $named ($url{plain}, 'saga:plain', 'destination:plain')
{
	my $end = run_task('send', QueueUrl => $named, 'MessageBody.$' => '$',
		MessageAttributes => { kind => { DataType => 'String', StringValue => 'test' } });
	is($end->{status}, 'SUCCEEDED', "$named: a task") or diag(explain($end));
	($message) = $aws->receive($url{plain});
	is($message->{body}, '{"n": 1}', "$named: its message arrives");
	is($message->{attributes}{kind}, 'test', "$named: with its attributes");
	(my $hex = $end->{id}) =~ tr/-//d;
	like($message->{attributes}{traceparent}, qr/^00-$hex-/, "$named: the trace is the execution");
	is($end->{output}{MessageId}, $message->{id}, "$named: the task gets the MessageId");
	like($end->{output}{MD5OfMessageBody}, qr/^[0-9a-f]{32}$/, "$named: and the checksum");
}

my $end = run_task('grouped', QueueUrl => 'saga:ordered', MessageBody => 'x', MessageGroupId => 'g', MessageDeduplicationId => 'd1');
is($end->{status}, 'SUCCEEDED', 'a task that sends to a FIFO queue');
ok($end->{output}{SequenceNumber}, 'gets a sequence number');
foreach my $wrong (
	[ { QueueUrl => 'https://sqs.us-east-1.amazonaws.com/1/other', MessageBody => 'x' }, qr/no destination that you may use has the queue/ ],
	[ { QueueUrl => 'saga:ordered', MessageBody => 'x' }, qr/MessageGroupId is missing, and the queue is FIFO/ ],
	[ { QueueUrl => 'saga:plain', MessageBody => 'x', DelaySeconds => 901 }, qr/DelaySeconds must be/ ],
	[ { QueueUrl => 'saga:plain', MessageBody => 'x', Subject => 's' }, qr/not a supported member of an sqs:sendMessage/ ],
	[ { QueueUrl => 'saga:plain' }, qr/MessageBody is missing/ ],
	[ { QueueUrl => 'saga:plain', MessageBody => 'x',
			MessageAttributes => { map { ("a$_" => { DataType => 'String', StringValue => 'x' }) } 1 .. 9 } }, qr/there are 9 message attributes, and the outbox adds 2/ ],
	[ { QueueUrl => 'saga:nothing', MessageBody => 'x' }, qr/does not exist/ ])
{
	$end = run_task('wrong', %{ $wrong->[0] });
	is($end->{status}, 'FAILED', "refused: $wrong->[1]");
	like($end->{cause}, $wrong->[1], "the cause says why: $wrong->[1]");
}
$end = run_task('large', QueueUrl => 'saga:plain', MessageBody => 'x' x 262144);
is($end->{error}, 'States.DataLimitExceeded', 'more than SQS takes is told to the task');

unlike(slurp_file($node->logfile), qr/wJalr|token-of-the-session/, 'no secret in the log');
$node->stop;
done_testing();
