# A role without any rights takes names first: of an inbox, secrets, destinations, URLs, queues, ARNs.
# Then the administrator does what the documentation says. Nothing of hers is used, and she gets nothing.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT as sql);

my $dir = File::Temp->newdir('saga-names-XXXXXX', TMPDIR => 1);
my $aws = start_fauxqs();
my $hers = Saga::Server->start('raw', args => [ '--log', "$dir/hers" ]);
my $ours = Saga::Server->start('raw', args => [ '--log', "$dir/ours" ]);
my $node = new_saga_node('attack', 'pg_saga.workers = 2', 'pg_saga.publishers = 1');

# what she says must not be an error: her attempts are allowed, and in vain
sub mallory { return as('mallory', $_[0]) }

sub said
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
	return $err;
}

sub requests
{
	my ($name) = @_;
	return map { decode_json($_) } split /\n/, -e "$dir/$name" ? slurp_file("$dir/$name") : '';
}

sub settings { my ($server, %more) = @_; return encode_json({ url => $server->url('/ok'), allow_private => JSON::PP::true, max_attempts => 1, %more }) }

sql(<<'SQL');
CREATE EXTENSION pg_saga;
CREATE ROLE mallory LOGIN;
CREATE ROLE app_owner LOGIN;
GRANT USAGE ON SCHEMA saga TO PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO PUBLIC;
CREATE SCHEMA mallory AUTHORIZATION mallory;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE TABLE app.taken (body text, who text DEFAULT current_user);
CREATE FUNCTION app.take(i jsonb, c jsonb) RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS
	$$ INSERT INTO app.taken VALUES (i ->> 'body') RETURNING 'null'::jsonb $$;
CREATE FUNCTION app.step(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"ours"'::jsonb $$;
-- an application of one's own
SELECT saga.set_inbox('orders', 'app.take');
SQL

# ---------- she comes first ----------
mallory(<<'SQL');
CREATE TABLE mallory.trap (who text, session text);
GRANT INSERT ON mallory.trap TO PUBLIC;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
CREATE FUNCTION mallory.gotcha(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mallory.trap VALUES (current_user, session_user);
	BEGIN
		EXECUTE 'ALTER ROLE mallory SUPERUSER';
	EXCEPTION WHEN OTHERS THEN
	END;
	RETURN '"hers"';
END $$;
SELECT saga.create_workflow(n, '{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"sql:mallory.gotcha","End":true}}}')
	FROM unnest('{orders-inbox,orders,nightly,postgres-inbox}'::text[]) n;
SELECT saga.create_queue(n) FROM unnest('{dlq,mail,destination/payments}'::text[]) n;
SELECT saga.set_secret(n, 'placeholder') FROM unnest('{stripe_key,aws}'::text[]) n;
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:step', 'sql:mallory.gotcha');
SELECT count(saga.grant('workflow', n, r, 'start')) FROM unnest('{orders-inbox,orders,nightly}'::text[]) n, unnest('{postgres,app_owner}'::regrole[]) r;
SELECT count(saga.grant('queue', n, r, 'use')) FROM unnest('{dlq,mail}'::text[]) n, unnest('{postgres,app_owner}'::regrole[]) r;
SELECT count(saga.grant('secret', n, r, 'use')) FROM unnest('{stripe_key,aws}'::text[]) n, unnest('{postgres,app_owner}'::regrole[]) r;
SQL

# the laboratory's only artefact: her server is on a private address, which an administrator allows her
sql('GRANT pg_read_server_files TO mallory');
mallory("SELECT saga.create_destination(n, 'http', '" . settings($hers) . "') FROM unnest('{accounting,mail}'::text[]) n");
mallory("SELECT saga.create_destination('mout', 'http', '" . settings($hers, auth => { type => 'bearer', token => '{secret:stripe_key}' }) . "')");
# in front of our own URL, and the very same
mallory("SELECT saga.create_destination('cover', 'http', '" . settings($ours) . "')");
mallory("SELECT saga.create_destination('cover2', 'http', '" . encode_json({ url => $ours->url('/'), allow_private => JSON::PP::true }) . "')");
mallory(q(SELECT count(saga.grant('destination', n, r, 'use')) FROM unnest('{accounting,mail,cover,cover2,mout}'::text[]) n, unnest('{postgres,app_owner}'::regrole[]) r));
sql('REVOKE pg_read_server_files FROM mallory');
# and says so wherever she can
mallory(q(ALTER ROLE mallory SET pg_saga.owner_path = 'mallory'));

# ---------- a source, as documented: by the administrator, and for the owner ----------
my $queue = $aws->queue('orders');
my $other_queue = $aws->queue('orders-2');
sub source_settings { return encode_json({ queue_url => $_[0], region => 'us-east-1', endpoint_url => $aws->url, allow_private => JSON::PP::true, wait_s => 1, credentials => { secret => 'aws' } }) }
like(said('postgres', "SELECT saga.create_source('front-door', 'sqs', '" . source_settings($queue) . "', 'orders')"), qr/secret "aws" does not exist/,
	'a secret of hers is not that of the administrator\'s source');
sql(q(SELECT saga.set_secret('aws', '{"access_key_id": "AKID", "secret_access_key": "our-aws-secret"}')));
sql("SELECT saga.create_source('front-door', 'sqs', '" . source_settings($queue) . "', 'orders')");
is(sql("SELECT w.owner FROM saga.source s JOIN saga.workflow w ON w.workflow_id = s.queue_id WHERE s.name = 'front-door'"), 'postgres', 'the inbox is the administrator\'s own');
$aws->send_messages($queue, 'one');
poll_until($node, 'SELECT count(*) FROM app.taken', '1');
sql("SELECT saga.create_source('second', 'sqs', '" . source_settings($other_queue) . "', 'orders', 'app_owner')");
$aws->send_messages($other_queue, 'two');
poll_until($node, 'SELECT count(*) FROM app.taken', '2');
is(sql("SELECT string_agg(DISTINCT owner::text, ' ' ORDER BY owner::text) FROM saga.workflow WHERE name = 'orders-inbox'"), 'app_owner mallory postgres', 'each has one of that name');
# then given away by its bare name, as one's own
like(said('postgres', "SELECT saga.set_workflow_owner('nightly', 'app_owner')"), qr/workflow "nightly" does not exist/, 'what is hers is not given away by its bare name');
like(said('postgres', "SELECT saga.set_workflow_owner('mallory.nightly', 'app_owner')"), qr/is given away only with the hash/, 'nor unseen');

# ---------- secrets ----------
sql("SELECT saga.set_secret('stripe_key', 'sk-live-ours-4711')");
mallory("SELECT saga.publish_to('mout', '{}')");
poll_until($node, "SELECT o.state FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'mout'", 'delivered');
my @hers = requests('hers');
is(scalar @hers, 1, 'she gets a request');
unlike(slurp_file("$dir/hers"), qr/sk-live/, 'with her own secret');
like(said('mallory', 'SELECT saga.create_destination(\'x\', \'http\', \'{"url": "https://x.invalid/", "auth": {"type": "bearer", "token": "{secret:postgres.stripe_key}"}}\')'),
	qr/secret "postgres.stripe_key" does not exist/, 'she cannot name ours');
is(said('mallory', "SELECT saga.set_secret('postgres.stripe_key', 'x')") =~ s/stripe_key/NAME/gr, said('mallory', "SELECT saga.set_secret('postgres.no_such', 'x')") =~ s/no_such/NAME/gr,
	'nor find out that there is one');

# ---------- destinations, queues, ARNs: in workflows of a superuser and of another role ----------
my %task = (
	publish => '{"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination": "accounting", "Payload": {"n": 1}}, "End": true}',
	named => '{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "saga:accounting/x", "Method": "POST", "RequestBody": {}}, "End": true}',
	url => '{"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "' . $ours->url('/ok') . '", "Method": "POST", "RequestBody": {}}, "End": true}',
	queue => '{"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "saga:mail", "MessageBody": "m"}, "End": true}',
	arn => '{"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:step", "End": true}',
	invoke => '{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "step"}, "End": true}',
	expression => '{"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination.$": "$.to", "Payload": {"n": 2}}, "End": true}',
);

sub run_all
{
	my ($role) = @_;
	my %got;
	foreach my $name (sort keys %task)
	{
		my $id = as($role, "SELECT saga.start_execution('try-$name', '{\"to\": \"accounting\"}')");
		poll_until($node, "SELECT count(*) FROM saga.execution WHERE execution_id = '$id'", '1');
		$got{$name} = sql("SELECT CASE status WHEN 's' THEN 'done' ELSE error END FROM saga.execution WHERE execution_id = '$id'");
	}
	return \%got;
}

foreach my $role (qw(postgres app_owner))
{
	as($role, "SELECT saga.create_workflow('try-$_', '{\"StartAt\": \"T\", \"States\": {\"T\": $task{$_}}}')") foreach sort keys %task;
	# made before what they name is there
	is_deeply(run_all($role), { publish => 'States.Runtime', named => 'States.Runtime', url => 'States.Runtime', queue => 'SQS.AmazonSQSException',
		arn => 'States.Runtime', invoke => 'Lambda.ResourceNotFoundException', expression => 'States.Runtime' }, "$role: what only mallory has is nothing");
	like(said($role, "SELECT saga.publish_to('accounting', '{}')"), qr/does not exist/, "$role: publish_to");
	like(said($role, "SELECT saga.send('mail', '{}')"), qr/queue "mail" does not exist/, "$role: send");
	like(said($role, "SELECT saga.start_execution('nightly')"), qr/workflow "nightly" does not exist/, "$role: start_execution");
	like(said($role, "SELECT saga.create_queue('letters', dead_letter_queue => 'dlq')"), qr/queue "dlq" does not exist/, "$role: dead_letter_queue");
	like(said($role, "SELECT saga.alter_destination('accounting', '{\"url\": \"https://x.invalid/\"}')"), qr/destination "accounting" does not exist/, "$role: alter_destination");
	# a path that she says, in the same session, is not theirs
	like(said($role, "SET ROLE mallory; SET pg_saga.owner_path = 'mallory'; RESET ROLE; SELECT saga.publish_to('accounting', '{}')"), qr/does not exist/, "$role: with her path")
		if $role eq 'postgres';
}

# the administrator makes his, and gives one like it away
sql("SELECT saga.create_destination('payments', 'http', '" . settings($ours, auth => { type => 'bearer', token => '{secret:stripe_key}' }) . "')");
sql("SELECT saga.create_destination('accounting', 'http', '" . settings($ours) . "')");
sql("SELECT saga.create_queue('mail'), saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:step', 'sql:app.step')");
sql("SELECT saga.set_destination_owner('accounting', 'app_owner')");
as('app_owner', "SELECT saga.create_queue('mail'), saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:step', 'sql:app.step')");
# the administrator's again, beside the one that he gave away
sql("SELECT saga.drop_destination('payments'), saga.create_destination('accounting', 'http', '" . settings($ours, auth => { type => 'bearer', token => '{secret:stripe_key}' }) . "')");
foreach my $role (qw(postgres app_owner))
{
	is_deeply(run_all($role), { map { $_ => 'done' } keys %task }, "$role: his own");
	# made anew, the names are kept as ids
	as($role, "SELECT saga.create_workflow('try-$_', '{\"StartAt\": \"T\", \"States\": {\"T\": $task{$_}}}')") foreach sort keys %task;
	is_deeply(run_all($role), { map { $_ => 'done' } keys %task }, "$role: his own, as the definition says");
}
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0');
is(scalar(requests('hers')), 1, 'nothing of it went to her server');
is(sql("SELECT string_agg(DISTINCT d.owner::text, ' ' ORDER BY d.owner::text) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name <> 'mout'"),
	'app_owner postgres', 'nor to her destinations');
ok(scalar(grep { my $r = $_; grep { $_->[1] eq 'Bearer sk-live-ours-4711' } @{ $r->{headers} } } requests('ours')), 'the secret goes where it should');
is(sql("SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.owner = 'mallory'::regrole"), '0', 'nothing is in a queue of hers');
is(sql('SELECT count(*) FROM mallory.trap'), '0', 'no function of hers ran');
is(sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', 'and she is who she was');

# ---------- given to her, or by her ----------
like(said('mallory', "SELECT saga.set_workflow_owner('nightly', 'app_owner')"), qr/must be (member of|able to SET) role/i, 'she gives nothing to whom she cannot become');
# a right that is hers to give makes nothing of hers a bare name's meaning, in definitions that were given away either
mallory(q(SELECT saga.create_workflow('gift', '{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:step", "Next": "P"},
	"P": {"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination": "accounting", "Payload": 1}, "End": true}}}')));
sql("SELECT saga.set_workflow_owner('mallory.gift', 'app_owner', (SELECT definition_hash FROM saga.workflows WHERE name = 'gift'))");
my $id = as('app_owner', "SELECT saga.start_execution('gift')");
poll_until($node, "SELECT status FROM saga.execution WHERE execution_id = '$id'", 's');
is(sql('SELECT count(*) FROM mallory.trap'), '0', 'a definition of hers that was given away means what the new owner means');
is(sql("SELECT d.owner FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'accounting' ORDER BY o.outbox_id DESC LIMIT 1"), 'app_owner', 'in all its names');

# ---------- where the library comes with the first call ----------
my $bare = new_saga_node('bare', { preload => '' });
$bare->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE ROLE mallory LOGIN;
GRANT USAGE ON SCHEMA saga TO mallory;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO mallory;
CREATE FUNCTION notify_all() RETURNS uuid LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT saga.send('mail', '1') $$;
GRANT EXECUTE ON FUNCTION notify_all() TO mallory;
SQL
$bare->safe_psql('postgres', "SELECT saga.create_queue('mail'), saga.grant('queue', 'mail', 'postgres', 'use')", extra_params => [ '-U', 'mallory' ]);
foreach my $how ("SET pg_saga.owner_path = 'mallory'", "SELECT set_config('pg_saga.owner_path', 'mallory', false)")
{
	my ($rc, $out, $err) = $bare->psql('postgres', "$how; SELECT notify_all()", extra_params => [ '-U', 'mallory' ]);
	like($err, qr/queue "mail" does not exist/, 'what she set before the library was there does not count in a function with another\'s rights');
}
my ($rc, $out, $err) = $bare->psql('postgres', 'SELECT notify_all()', connstr => $bare->connstr('postgres') . " user=mallory options='-c pg_saga.owner_path=mallory'");
like($err, qr/queue "mail" does not exist/, 'nor what she said when she connected');

$bare->stop;
$node->stop;
done_testing();
