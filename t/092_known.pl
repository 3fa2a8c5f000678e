# What an answer, a look-up and a replay make known of a call: who gives up on a request may have done it, a
# look-up speaks of one request and of nobody else's, and what was done is not sent again for its answer.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $dir = File::Temp->newdir('saga-known-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $books = start_accounting();
my $taken = start_accounting();
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node);
my %nokey = (idempotency => { in => 'none' });

sub requests { return scalar(grep { index($_, qq("target":"$_[0]")) >= 0 } split(/\n/, slurp_file("$dir/raw"))) }
sub say_path { return '/say/' . encode_base64url($json->encode($_[0])) }

sub destination
{
	my ($name, $url, %settings) = @_;
	my $text = $json->encode({ url => $url =~ /^http/ ? $url : $raw->url($url), allow_private => $true, timeout_ms => 8000, base_ms => 20,
		cap_ms => 50, max_attempts => 2, %settings });
	sql("SELECT saga.create_destination('$name', 'http', \$s\$$text\$s\$)");
	return;
}

sub publish { sql("SELECT saga.publish_to('$_', '{}')") foreach @_; return }

sub of { return "FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'" }

# State, error and what is known, of the only message of a destination.
sub outcome
{
	my ($name) = @_;
	poll_until($node, "SELECT count(*) " . of($name) . " AND o.state = 'waiting'", '0');
	return sql("SELECT concat_ws(' ', o.state, split_part(o.last_error, ':', 1), o.outcome, o.outcome_by) " . of($name));
}

sub steps { return sql("SELECT coalesce(string_agg(concat_ws(' ', a.phase, a.class, a.status), ', ' ORDER BY a.attempt), '')
	FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'") }

# ---------- 408 and 503 ----------

foreach my $status (408, 503)
{
	destination("blind$status", "/status/$status/blind", %nokey);
	destination("keyed$status", "/status/$status/keyed");
	destination("ruled$status", "/status/$status/ruled", %nokey, classify => [ { status => [$status], as => 'retry' } ]);
	destination("found$status", "/status/$status/found", %nokey,
		lookup => { url => $raw->url(say_path({ text => qq({"id": "$status"}) })), found => 'id' });
	destination("absent$status", "/status/$status/absent", %nokey, lookup => { url => '/status/404', found => 'id' });
	publish(map { "$_$status" } qw(blind keyed ruled found absent));
	is(outcome("blind$status"), 'failed Saga.Uncertain in_doubt answer', "$status: it may have been done");
	is(requests("/status/$status/blind"), 1, '  and is not sent again blindly');
	is(outcome("keyed$status"), "failed States.Http.StatusCode.$status in_doubt answer", '  it is under a key');
	is(requests("/status/$status/keyed"), 2, '  as long as may be, which proves nothing');
	is(outcome("ruled$status"), "failed States.Http.StatusCode.$status no_effect answer", '  unless a rule says that it had no effect');
	is(requests("/status/$status/ruled"), 2, '  which is sent again');
	is(outcome("found$status"), 'delivered done lookup', '  a look-up finds it');
	is(requests("/status/$status/found"), 1, '  once');
	is(outcome("absent$status"), "failed States.Http.StatusCode.$status no_effect lookup", '  or nothing, which is known then');
	is(requests("/status/$status/absent"), 2, '  so that it was sent again');
}
my %put_off = (
	seconds => [ 503, { 'retry-after' => '1' } ], date => [ 503, { 'retry-after' => 'Sun, 06 Nov 1994 08:49:37 GMT' } ],
	nonsense => [ 503, { 'retry-after' => 'soon' } ], timeout => [ 408, { 'retry-after' => '1' } ], own => [ 503, { 'x-wait' => '0' } ]);
foreach my $name (sort keys %put_off)
{
	my ($status, $headers) = @{ $put_off{$name} };
	destination("put_off_$name", say_path([ { status => $status, headers => $headers, text => $name }, { text => '{}' } ]), %nokey,
		$name eq 'own' ? (retry_after => { header => 'X-Wait' }) : ());
	publish("put_off_$name");
}
is(outcome("put_off_$_"), 'delivered done answer', "503 that says when to come again is an overload ($_)") foreach qw(seconds date own);
is(outcome("put_off_$_"), 'failed Saga.Uncertain in_doubt answer', "what says it of nothing that was put off is not ($_)") foreach qw(nonsense timeout);

sql(q(SELECT saga.set_secret('aws', '{"access_key_id": "a", "secret_access_key": "b"}')));
my %unavailable = (sqs => '{"__type": "com.amazonaws.sqs#ServiceUnavailable", "message": "m"}',
	sns => '<ErrorResponse><Error><Code>ServiceUnavailable</Code><Message>m</Message></Error></ErrorResponse>');
my @services;
foreach my $kind ('sns', 'sqs')
{
	foreach my $when ('', 'later')
	{
		my $root = encode_base64url($json->encode({ status => 503, text => $unavailable{$kind}, headers => $when ? { 'retry-after' => '0' } : {} }));
		push(@services, Saga::Server->start('raw', args => [ '--log', "$dir/$kind$when", '--root', $root ]));
		my $settings = $json->encode({ ($kind eq 'sqs' ? (queue_url => $services[-1]->url('/1/q')) : (topic_arn => 'arn:aws:sns:us-east-1:1:t')),
			region => 'us-east-1', endpoint_url => $services[-1]->url(''), allow_private => $true, credentials => { secret => 'aws' },
			base_ms => 20, cap_ms => 50, max_attempts => 2 });
		sql("SELECT saga.create_destination('$kind$when', '$kind', \$s\$$settings\$s\$)");
		publish("$kind$when");
		is(outcome("$kind$when"), 'failed ' . uc($kind) . '.ServiceUnavailableException ' . ($when ? 'no_effect answer' : 'in_doubt answer'),
			"503 of $kind" . ($when && ' that says when to come again'));
	}
}

# ---------- as workflows see it ----------

sql(q(CREATE FUNCTION undo(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$));

sub call
{
	my ($destination, %more) = @_;
	return { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', End => $true,
		Parameters => { ApiEndpoint => "saga:$destination", RequestBody => {}, %{ delete $more{With} // {} } }, %more };
}

sub start
{
	my ($name, $first, %others) = @_;
	my $definition = $json->encode({ StartAt => 'First', States => {
		First => $first, $first->{Compensate} ? (Undo => { Type => 'Task', Resource => 'sql:public.undo' }) : (), %others } });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
	return sql("SELECT saga.start_execution('$name', '{}', '$name')");
}

sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, error, 'undone ' || (SELECT string_agg(x, ',') FROM jsonb_array_elements_text(compensated) x),
		(SELECT string_agg(concat_ws(' ', 'listed', x->>'state', x->>'outcome'), ',') FROM jsonb_array_elements(not_compensated) x))
		FROM saga.executions WHERE name = '$name'");
}

foreach my $kind ('blind', 'keyed')
{
	foreach my $error ('States.Http.StatusCode.503', 'Saga.Uncertain', 'States.TaskFailed')
	{
		(my $id = lc "$kind$error") =~ s/\W//g;
		destination($id, "/status/503/$id", $kind eq 'blind' ? %nokey : ());
		start($id, call($id, Catch => [ { ErrorEquals => [$error], Next => 'Caught' } ]), Caught => { Type => 'Succeed' });
		is(ended($id), 'SUCCEEDED', "503 is caught as $error ($kind)");
	}
}
destination('aws', say_path([ { status => 503, text => 'aws' }, { status => 503, text => 'aws' }, { text => '{}' } ]));
start('aws', call('aws', Compensate => 'Undo', Retry => [ { ErrorEquals => ['States.Http.StatusCode.503'], IntervalSeconds => 1, MaxAttempts => 2 } ]));
is(ended('aws'), 'SUCCEEDED', 'a Retry that names the status goes on with the same request');
is(sql("SELECT count(*) " . of('aws')), '1', 'which is one message');
destination('aws_blind', '/status/503/aws_blind', %nokey);
start('aws_blind', call('aws_blind', Compensate => 'Undo', Retry => [ { ErrorEquals => ['States.Http.StatusCode.503'], IntervalSeconds => 1 } ]));
is(ended('aws_blind'), 'FAILED Saga.Uncertain listed First unknown', 'where nobody can know, it does not');
is(requests('/status/503/aws_blind'), 1, 'and nothing is sent again');

# ---------- the destination's own request ----------

# each finds the payment, whatever was asked for
my @others = ([ path => ApiEndpoint => '/refund' ], [ query => QueryParameters => { operation => 'void' } ], [ method => Method => 'PUT' ]);
foreach my $case (@others, ['own'])
{
	my ($name, @with) = @$case;
	$with[1] = "saga:looked_$name$with[1]" if @with && $with[0] eq 'ApiEndpoint';
	foreach my $retry (0, 1)
	{
		my $id = "looked_$name" . ($retry ? '_retried' : '');
		my %with = @with;
		$with{ApiEndpoint} = "saga:$id/refund" if $name eq 'path';
		destination($id, "/lost-then/200/$id", %nokey, lookup => { url => "/status/404/found/$id", found => 'id', delay_ms => 10 },
			settle => { deadline_s => 5 });
		start($id, call($id, With => \%with, Compensate => 'Undo', $retry ? (Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1 } ]) : ()));
	}
}
foreach my $case (@others)
{
	my ($name) = @$case;
	foreach my $id ("looked_$name", "looked_${name}_retried")
	{
		is(ended($id), 'FAILED Saga.Uncertain listed First unknown', "a look-up says nothing of another request ($id)");
		is(requests("/status/404/found/$id"), 0, '  and is not asked');
		is(scalar(grep { /$id\b/ } split(/\n/, slurp_file("$dir/raw"))), 1, '  nor is it sent again');
	}
}
is(ended('looked_own'), 'SUCCEEDED', 'it says what it found of its own');
is(requests('/status/404/found/looked_own'), 1, '  when it is asked');

# ---------- altered since ----------

# looked up in vain until they are altered
my @vain = (lookup => { found => 'id', url => '/status/500/altered' }, max_attempts => 10000);
destination('altered', '/lost-then/200/altered', %nokey, @vain);
destination('altered_key', '/lost-then/200/altered_key', @vain);
destination('unaltered', '/lost-then/200/unaltered', %nokey, lookup => { found => 'id', url => '/status/404/unaltered' });
publish(qw(altered altered_key unaltered));
poll_until($node, "SELECT count(DISTINCT d.name) FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id) WHERE d.name LIKE 'altered%' AND a.phase = 'lookup'", '2');
sql("SELECT saga.alter_destination('$_', '{\"like\": \"$_\", \"lookup\": {\"url\": \"/status/404/elsewhere\"}}')") foreach qw(altered altered_key);
is(outcome('altered'), 'failed Saga.Uncertain in_doubt lookup', 'who looks elsewhere and finds nothing has proved nothing');
like(sql("SELECT last_error " . of('altered')), qr/altered since/, '  which is said');
is(requests('/lost-then/200/altered'), 1, '  and it is not sent again');
is(outcome('altered_key'), 'delivered done answer', '  unless under its key');
is(sql("SELECT count(DISTINCT a.key) || ' ' || o.key_epoch FROM saga.outbox_attempt a JOIN saga.outbox o USING (outbox_id) JOIN saga.destination d ON d.destination_id = o.destination_id
	WHERE d.name = 'altered_key' GROUP BY o.key_epoch"), '1 0', '  which is the same');
is(outcome('unaltered'), 'delivered done answer', 'else it is sent again');

# ---------- another record's ----------

my %lookup = (url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', capture => { remote_id => 'invoices[0].id' }, delay_ms => 50);
destination('shared', $books->url('/v1/invoices'), capture => { remote_id => 'id', standing => 'status' }, lookup => \%lookup);
$books->faults([ { number => '^shared$', method => 'POST', nth => 2, action => 'drop_before' }, { number => '^twice$', method => 'POST', action => 'drop_after', times => 1 },
	{ number => '^twice$', method => 'POST', action => 'drop_before' }, { number => '^replayed$', method => 'POST', attempt => 1, action => 'drop_after' } ]);

sub invoice { return { number => $_[0], currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] } }

sub book
{
	my ($name, $number) = @_;
	start($name, call('shared', With => { RequestBody => invoice($number) }, Compensate => 'Undo', Next => 'Refuse', End => $false),
		Refuse => { Type => 'Fail', Error => 'Refused' });
	return ended($name);
}
is(book('first', 'shared'), 'FAILED Refused undone First', 'one execution has booked it');
is(book('second', 'shared'), 'FAILED Saga.Uncertain listed First unknown', 'what a look-up finds of it is not what another one has done');
is(sql("SELECT string_agg(concat_ws(' ', o.outcome, o.outcome_by), ', ' ORDER BY o.created_at) " . of('shared')), 'done answer, in_doubt lookup',
	'  as the records say');
is(scalar(grep { ($_->{number} // '') eq 'shared' && $_->{method} eq 'POST' } @{ $books->audit->{requests} }), 3, '  when it is refused under its key, too');
my $text = $json->encode(invoice('shared'));
sql("SELECT saga.publish_to('shared', \$j\$$text\$j\$)");
poll_until($node, "SELECT count(*) " . of('shared') . " AND o.state = 'waiting'", '0');
is(sql("SELECT o.last_class " . of('shared') . " AND o.op = 'p'"), 'duplicate', 'a message that is refused is told so');
destination('taken', $taken->url('/v1/invoices'), capture => { remote_id => 'id' }, lookup => \%lookup);
$taken->faults({ modes => { duplicate => 'allow' }, rules => [ { number => '^taken$', method => 'POST', nth => 2, action => 'drop_after' } ] });
my $twice = $json->encode(invoice('taken'));
foreach (1 .. 2)
{
	sql("SELECT saga.publish_to('taken', \$j\$$twice\$j\$)");
	poll_until($node, "SELECT count(*) " . of('taken') . " AND o.state = 'waiting'", '0');
}
is(sql("SELECT count(DISTINCT o.captured->>'remote_id') || ' ' || string_agg(concat_ws(' ', o.outcome, o.outcome_by), ', ' ORDER BY o.created_at) " . of('taken')),
	'2 done answer, done replay', 'under its key it finds out what is its own');
destination('many', '/drop', %nokey, capture => { remote_id => 'id' }, lookup => { url => $raw->url(say_path({ text => '{"id": "one of them"}' })), found => 'id' });
sql("SELECT saga.publish_to('many', '{}') FROM generate_series(1, 20)");
poll_until($node, "SELECT count(*) " . of('many') . " AND o.state = 'waiting'", '0');
is(sql("SELECT count(*) FILTER (WHERE o.outcome = 'done') || ' ' || count(*) FILTER (WHERE o.outcome = 'in_doubt') " . of('many')), '1 19',
	'of many that find the same only one has done it');
poll_until($node, "SELECT idx_scan > 0 FROM pg_stat_all_indexes WHERE indexrelname = 'outbox_captured'", 't');
pass('an index tells whose it is');

# what an answer says and a look-up does not, or says otherwise by then, tells nothing apart
foreach my $id (undef, 'remote_id')
{
	my $name = $id ? 'standing_id' : 'standing';
	destination($name, say_path([ { text => '{"id": "1", "version": "1"}' }, { status => 500, text => $name } ]), %nokey,
		capture => { remote_id => 'id', version => 'version' }, lookup => {
		url => $raw->url(say_path({ text => '{"id": "1", "version": "2"}' })), found => 'id', $id ? (id => $id) : () });
	publish($name);
	outcome($name);
	publish($name);
	poll_until($node, "SELECT count(*) " . of($name) . " AND o.state = 'waiting'", '0');
	is(sql("SELECT string_agg(o.outcome, ' ' ORDER BY o.created_at) " . of($name)), $id ? 'done in_doubt' : 'done done',
		$id ? 'who says which value tells things apart is told' : 'the values of both tell things apart');
}
my ($rc, $out, $err) = $node->psql('postgres', q(SELECT saga.create_destination('x', 'http',
	'{"url": "https://a.example/", "capture": {"a": "a"}, "lookup": {"url": "/b", "found": "b", "id": "b"}}')));
like($err, qr/\$\.lookup\.id is not the name of a value that the look-up captures/, 'which has to be one of them');

# ---------- a replay ----------

destination('replayed', $books->url('/v1/invoices'));
destination('told', say_path([ { headers => { 'Idempotent-Replayed' => 'true', 'X-Replay' => 'false' }, text => 'told' } ]), idempotency => { replay_header => 'X-Replay' });
destination('told_so', say_path([ { headers => { 'X-Replay' => 'TRUE' }, text => 'told so' } ]), idempotency => { replay_header => 'X-Replay' });
destination('keyless', say_path([ { headers => { 'Idempotent-Replayed' => 'true' }, text => 'keyless' } ]), %nokey);
$text = $json->encode(invoice('replayed'));
sql("SELECT saga.publish_to('replayed', \$j\$$text\$j\$)");
publish(qw(told told_so keyless));
is(outcome('replayed'), 'delivered done replay', 'the stored answer under the same key is one');
is(outcome('told'), 'delivered done answer', 'another header is none');
is(outcome('told_so'), 'delivered done replay', 'unless the settings say it');
is(outcome('keyless'), 'delivered done answer', 'without a key nothing is replayed');

# ---------- done, and the answer cannot be read ----------

my %spoilt = (
	long => { text => '{"id": "' . 'x' x 3000 . '"}' },
	broken => { text => '{"id": "r-1",,' },
	lacking => { text => '{"no": "id"}' });
my @capture = (capture => { remote_id => 'id' });
foreach my $name (sort keys %spoilt)
{
	my $path = sub { return say_path([ { %{ $spoilt{$name} }, headers => { 'x-case' => "$name $_[0]" } } ]) };
	my @more = (max_response_bytes => 1000, max_attempts => 3);
	destination("${name}_unread", $path->('unread'), @more);
	destination("${name}_blind", $path->('blind'), @more, @capture);
	destination("${name}_found", $path->('found'), @more, @capture, lookup => { url => $raw->url(say_path({ text => qq({"id": "found $name"}) })), found => 'id' });
	destination("${name}_debt", $path->('debt'), @more, @capture, idempotency => { ttl_s => 86400 });
	destination("${name}_retry", $path->('retry'), @more, @capture);
	destination("${name}_redriven", $path->('redriven'), @more, @capture);
	publish(map { "${name}_$_" } qw(unread blind found redriven));
	start("${name}_debt", call("${name}_debt", Compensate => 'Undo'));
	start("${name}_retry", call("${name}_retry", Compensate => 'Undo', Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1 } ]));
	is(outcome("${name}_unread"), 'delivered done answer', "$name: what nobody reads of it need not be known");
	is(outcome("${name}_blind"), 'failed Saga.Uncertain in_doubt answer', '  where something is captured it is in doubt');
	is(requests($path->('blind')), 1, '  and not sent again, though there is a key');
	is(outcome("${name}_found"), 'delivered done lookup', '  but looked up');
	is(requests($path->('found')), 1, '  being there once');
	is(ended("${name}_debt"), 'FAILED Saga.Uncertain listed First unknown', '  nor does who gives it up send it again');
	is(requests($path->('debt')), 1, '  to find out');
	is(ended("${name}_retry"), 'FAILED Saga.Uncertain listed First unknown', '  nor a Retry');
	is(requests($path->('retry')), 1, '  for an answer');
	outcome("${name}_redriven");
	sql("SELECT saga.alter_destination('${name}_redriven', '{\"like\": \"${name}_redriven\", \"capture\": null, \"max_response_bytes\": 100000}');
		SELECT saga.redrive(dead_letter_id) FROM saga.dead_letters WHERE queue = 'destination/${name}_redriven'");
	is(outcome("${name}_redriven"), 'delivered done answer', '  who has mended that may send it again');
	is(sql("SELECT count(DISTINCT idempotency_key) || ' ' || max(o.key_epoch) " . of("${name}_redriven")), '1 0', '  under its key');
}
is(sql("SELECT o.response->>'ResponseBody' " . of('long_unread')), '(too long to be kept)', 'of one that is too long nothing is kept');
start('long_task', call('long_unread', ResultPath => '$.answer'));
is(ended('long_task'), 'SUCCEEDED', 'a task that does not look into it has succeeded');

$node->stop;
done_testing();
