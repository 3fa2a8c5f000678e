# Where credentials for AWS come from: each link of the chain, against a server that gives them out
# and one that checks signatures; refresh, refusal, hanging; and no trace of a secret anywhere.
use strict;
use warnings;

use File::Basename;
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT all_sent sql);

my $dir = File::Temp->newdir('saga-credentials-XXXXXX', TMPDIR => 1);
my ($key_id, $secret) = ('AKIDCHAINTEST', 'wJalr-chain/secret+with signs');
my $stub = Saga::Server->start('credentials');
my $fauxqs = start_fauxqs();
my $sns = Saga::Server->start('sns_proxy',
	args => [ '--upstream', $fauxqs->url, '--key-id', $key_id, '--secret', $secret, '--credentials', $stub->url ]);
my $topic = $fauxqs->setup('chain', 'reader');
my $accounting = start_accounting();
my $role = 'arn:aws:iam::123456789012:role/saga';

delete @ENV{ grep { /^AWS_/ } keys %ENV };
$ENV{HOME} = "$dir";
append_to_file("$dir/web-token", "web-token-of-the-pod\n");
append_to_file("$dir/container-token", "Bearer container-token-1\n");
append_to_file("$dir/credentials", "[default]\naws_access_key_id = WRONG\naws_secret_access_key = WRONG\n"
	  . "[chain]\naws_access_key_id = $key_id\naws_secret_access_key = $secret\n[empty]\nregion = eu-west-1\n");
append_to_file("$dir/config", "[default]\nregion = eu-west-1\n[profile sso]\nsso_session = x\n"
	  . "[profile program]\ncredential_process = /bin/false\n[profile other]\nrole_arn = $role\nsource_profile = chain\n");

my %environment = (AWS_ACCESS_KEY_ID => $key_id, AWS_SECRET_ACCESS_KEY => $secret);
my %web = (AWS_ROLE_ARN => $role, AWS_WEB_IDENTITY_TOKEN_FILE => "$dir/web-token", AWS_ENDPOINT_URL_STS => $stub->url);
my %files = (AWS_SHARED_CREDENTIALS_FILE => "$dir/credentials", AWS_CONFIG_FILE => "$dir/config", AWS_PROFILE => 'chain');
my %container = (AWS_CONTAINER_CREDENTIALS_FULL_URI => $stub->url('/container/task'));
# the slash at its end is for botocore, which takes it away
my %imds = (AWS_EC2_METADATA_SERVICE_ENDPOINT => $stub->url('/'));

my $node = new_saga_node('main', 'pg_saga.worker_idle_timeout = 10min');
create_extensions($node);

sub plan_of { return $stub->request('POST', '/_plan', {@_}) }
sub issued { return $stub->request('GET', '/_issued')->{count} }
sub asked { return map { $_->{kind} } @{ $stub->request('GET', '/_requests') } }
sub sent { return @{ $sns->request('GET', '/_requests') } }

# Another environment for the server, and processes that know nothing.
sub restart_with
{
	my (%variables) = @_;
	delete @ENV{ grep { /^AWS_/ } keys %ENV };
	%ENV = (%ENV, %variables);
	$node->restart;
	sql(q{TRUNCATE saga.outbox, saga.outbox_attempt; DELETE FROM saga.message WHERE kind = 'o';
		DELETE FROM saga.timer WHERE kind = 'o'});
	# refused credentials hold a destination, longer each time
	sql('SELECT saga.resume_destination(name) FROM saga.destination');
	return;
}

sub create
{
	my ($name, $kind, %settings) = @_;
	my $json = encode_json({ allow_private => JSON::PP::true, base_ms => 20, cap_ms => 100, concurrency => 25, %settings });
	sql("SELECT saga.create_destination('$name', '$kind', '$json')");
	return;
}

sub publish
{
	my ($n, $destination) = @_;
	$destination //= 'chain';
	sql("SELECT saga.publish_to('$destination', to_jsonb(n)) FROM generate_series(1, $n) n");
	return;
}

my %topic = (topic_arn => $topic->{topic_arn}, endpoint_url => $sns->url);
create('chain', 'sns', %topic, batch => 1);
create('books', 'http', url => $accounting->url('/v1/invoices'));

# ---------- each link ----------

my @links = (
	[ 'environment', {%environment}, [] ],
	[ 'web identity', {%web}, ['sts'] ],
	[ 'files', {%files}, [] ],
	[ 'container', {%container}, ['container'] ],
	[ 'container, a token', { %container, AWS_CONTAINER_AUTHORIZATION_TOKEN => 'Bearer container-token-2' }, ['container'] ],
	[ 'container, a token file', { %container, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => "$dir/container-token",
			AWS_CONTAINER_AUTHORIZATION_TOKEN => 'not this one' }, ['container'] ],
	[ 'instance', {%imds}, [qw(token role imds)] ],
	[ 'the first of all', { %environment, %web, %files, %container, %imds }, [] ],
	[ 'the second', { %web, %files, %container, %imds }, ['sts'] ],
	[ 'the third', { %files, %container, %imds }, [] ],
	[ 'the fourth', { %container, %imds }, ['container'] ]);
foreach my $link (@links)
{
	my ($name, $env, $kinds) = @$link;
	my @before = asked();
	my $token = $env->{AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE} ? 'Bearer container-token-1' : $env->{AWS_CONTAINER_AUTHORIZATION_TOKEN};
	plan_of(web_token => 'web-token-of-the-pod', authorization => $token);
	restart_with(%$env);
	publish(5);
	all_sent();
	my @after = asked();
	is_deeply([ @after[ @before .. $#after ] ], $kinds, "$name: what is asked for credentials");
	my $last = (sent())[-1];
	ok($last->{signed}, "$name: a right signature");
	is(defined $last->{token} ? 'token' : 'none', @$kinds ? 'token' : 'none', "$name: with or without a session token");
	is(sql('SELECT max(attempts) FROM saga.outbox'), '1', "$name: at the first attempt");
}

# a pin to one link, taken over by a reload
plan_of();
restart_with(%environment, %container, %imds);
foreach my $pin (qw(container imds environment))
{
	$node->append_conf('postgresql.conf', "pg_saga.aws_credentials = '$pin'");
	$node->reload;
	poll_until($node, 'SHOW pg_saga.aws_credentials', $pin);
	my $count = issued();
	my $used = 0;
	# the publisher may still be reading its settings
	for (1 .. 100)
	{
		publish(1);
		all_sent();
		$used = $pin eq 'environment' ? ((sent())[-1]{key} eq $key_id) : issued() > $count;
		last if $used;
		usleep(50_000);
	}
	ok($used, "pinned to $pin");
}
$node->append_conf('postgresql.conf', q{pg_saga.aws_credentials = 'auto'});
my @kinds = asked();
ok((grep { $_ eq 'imds' } @kinds[ -3 .. -1 ]), 'instance metadata was asked although there is a container');

# ---------- what does not work says so, and does not fall through ----------

my %broken = (
	'half of the environment' => [ { AWS_ACCESS_KEY_ID => $key_id, %imds }, qr/AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY/ ],
	'a profile that is not there' => [ { %files, AWS_PROFILE => 'nobody', %imds }, qr/no profile "nobody"/ ],
	'a profile without keys' => [ { %files, AWS_PROFILE => 'empty', %imds }, qr/"empty" of the credentials files has no keys/ ],
	'single sign-on' => [ { %files, AWS_PROFILE => 'sso', %imds }, qr/"sso_session", which is not supported/ ],
	'a program' => [ { %files, AWS_PROFILE => 'program', %imds }, qr/"credential_process", which is not supported/ ],
	'another role' => [ { %files, AWS_PROFILE => 'other', %imds }, qr/"role_arn", which is not supported/ ],
	'a wrong web token' => [ { %web, %imds, AWS_WEB_IDENTITY_TOKEN_FILE => "$dir/container-token" }, qr/STS: InvalidIdentityToken/ ],
	'no web token' => [ { %web, %imds, AWS_WEB_IDENTITY_TOKEN_FILE => "$dir/nothing" }, qr/STS: could not open file/ ],
	'a container that refuses' => [ { %container, %imds }, qr/container's credentials endpoint: its answer has status 401/, authorization => 'x' ],
	'a container that is elsewhere' => [ { %imds, AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://192.0.2.1/x' },
		qr/container's credentials endpoint: its address is none/ ],
	'a wrong URI' => [ { %imds, AWS_CONTAINER_CREDENTIALS_FULL_URI => 'file:///etc/passwd' }, qr{its URI must begin with https://} ],
	'an instance without a role' => [ {%imds}, qr/metadata service: it has no session token for us: its answer has status 404/, fail => 404 ],
	'an instance elsewhere' => [ { AWS_EC2_METADATA_SERVICE_ENDPOINT => 'http://192.0.2.1/' }, qr/metadata service: its address is none/ ],
	'nothing at all' => [ { AWS_EC2_METADATA_DISABLED => 'true' }, qr/there are no AWS credentials/ ]);
foreach my $name (sort keys %broken)
{
	my ($env, $expected, %plan) = @{ $broken{$name} };
	plan_of(web_token => 'web-token-of-the-pod', %plan);
	restart_with(%$env);
	my $before = () = grep { $_ eq 'imds' } asked();
	publish(1);
	poll_until($node, "SELECT last_class FROM saga.outbox", 'auth');
	like(sql('SELECT last_error FROM saga.outbox'), $expected, "$name: the reason");
	is(scalar(grep { $_ eq 'imds' } asked()), $before, "$name: nobody else is asked");
	like(slurp_file($node->logfile), $expected, "$name: the reason in the log");
}

# ---------- refresh ----------

# tokens that live for six seconds, while messages flow for thirteen: a full machine may take three from a signature to its server
plan_of(ttl_ms => 6000);
restart_with(%container);
my $count = issued();
my $requests = () = sent();
my $begun = time;
my $end = $begun + 13;
while (time < $end)
{
	publish(5);
	usleep(50_000);
}
all_sent();
my $took_s = int(time - $begun);
is(sql("SELECT count(*) FROM saga.outbox WHERE attempts <> 1 OR state <> 'delivered'"), '0', 'short lives: nothing fails');
my @sent = sent();
is(scalar(grep { !$_->{signed} } @sent[ $requests .. $#sent ]), 0, 'short lives: nothing is refused');
my $refreshes = issued() - $count;
cmp_ok($refreshes, '>=', 3, "short lives: new ones come ($refreshes)");
# each at half of its life
cmp_ok($refreshes, '<=', $took_s + 2, "short lives: and not more than needed in $took_s s");

# one refresh, however many wait for it
plan_of(delay_ms => 300);
restart_with(%container);
sql("SELECT saga.pause_destination('chain')");
publish(25);
$count = issued();
sql("SELECT saga.resume_destination('chain')");
all_sent();
is(issued() - $count, 1, 'twenty-five messages wait for one refresh');

# an endpoint that hangs holds up nobody else
plan_of(hang => JSON::PP::true);
restart_with(%container);
publish(25);
poll_until($node, "SELECT count(*) FROM saga.timer WHERE kind = 'o'", '25');
sql(q{SELECT saga.publish_to('books', jsonb_build_object('number', 'h' || n, 'currency', 'EUR', 'seller', 'S', 'buyer', 'B',
	'total', '1.00', 'tax', '0.00', 'lines', '[{"amount": "1.00"}]'::jsonb)) FROM generate_series(1, 20) n});
my $start = time;
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'delivered'", '20');
my $took = time - $start;
cmp_ok($took, '<', 5, sprintf('others go on while credentials hang (%.1f s)', $took));
wait_for_log($node, qr/container's credentials endpoint: Operation timed out/);
plan_of();
all_sent();
is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'"), '45', 'those that waited are sent when it answers');

# ---------- refused by the service ----------

sub faults { return $sns->request('POST', '/_faults', [@_]) }

restart_with(%container);
publish(1);
all_sent();
foreach my $code (qw(ExpiredToken InvalidClientTokenId))
{
	$count = issued();
	faults({ action => 'refuse', times => 1, code => $code, status => 403 });
	publish(1);
	all_sent();
	is(issued() - $count, 1, "$code: one refresh");
	is(sql('SELECT max(attempts) FROM saga.outbox'), '1', "$code: sent again within the same attempt");
	is(sql('SELECT count(*) FROM saga.outbox_attempt'), '0', "$code: no attempt failed");
	poll_until($node, "SELECT clock_timestamp() > max(finished_at) + interval '1.1 s' FROM saga.outbox");
}
# many at once: the keys are taken back under all of them
$stub->request('POST', '/_plan', {});
faults({ action => 'refuse', times => 25, code => 'ExpiredToken', status => 403 });
$count = issued();
publish(25);
all_sent();
cmp_ok(issued() - $count, '<=', 3, 'twenty-five are refused, and share what is fetched');
is(sql("SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'"), '0', 'all are delivered');
faults();

# a clock that is wrong
faults({ action => 'refuse', times => 1, code => 'RequestTimeTooSkewed', status => 403, date => 'Mon, 01 Jan 2035 00:00:00 GMT' });
publish(1);
all_sent();
like(slurp_file($node->logfile), qr/the clock of this server is \d+ seconds behind that of the service of destination "chain"/, 'clock skew is told');

# a file that is changed when its keys do not work any more
append_to_file("$dir/rotated", "[default]\naws_access_key_id = ${key_id}\naws_secret_access_key = old\n");
create('rotated', 'sns', %topic, credentials => { file => "$dir/rotated" });
publish(1, 'rotated');
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE last_class = 'auth'", '1');
open(my $fh, '>', "$dir/rotated.new") or die $!;
print $fh "[default]\naws_access_key_id = $key_id\naws_secret_access_key = $secret\n";
close $fh;
rename("$dir/rotated.new", "$dir/rotated") or die $!;
all_sent();
pass('keys that are changed in a file are used at once');

# ---------- CALL saga.publish(): connections come and go, credentials stay ----------

$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
plan_of(ttl_ms => 2000, delay_ms => 400);
restart_with(%container);
$count = issued();
my $call = "SELECT saga.publish_to('chain', '1')";
$node->safe_psql('postgres', join(";\n", $call, 'CALL saga.publish()', 'SELECT pg_sleep(1.55)',
		$call, 'CALL saga.publish()', $call, 'CALL saga.publish()', 'SELECT pg_sleep(1.6)', $call, 'CALL saga.publish()') . ';');
is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered' AND attempts = 1"), '4', 'a session that publishes four times');
cmp_ok(issued() - $count, '<=', 4, 'a refresh that is cut off is made again, by whoever needs it');
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->reload;

# ---------- other services ----------

my $service = { type => 'aws_sigv4', service => 'execute-api' };
create('service', 'http', url => $sns->url('/prod/v1/orders?b=2&a=x%2fy&a=%20&c'), region => 'eu-west-1', auth => $service);
create(lc $_, 'http', url => $sns->url('/prod/v1/orders/7'), method => $_, auth => $service,
	request => { body => 'none' }) foreach qw(GET PUT DELETE);
plan_of();
restart_with(%container, AWS_REGION => 'eu-north-1');
my @bodies = ('{"total": "1.00 \u20ac"}', '"a text"', '{}');
sql("SELECT saga.publish_to('service', '$_', NULL, '{\"X-Note\": \"two  words\"}')") foreach @bodies;
publish(1, $_) foreach qw(get put delete);
all_sent();
is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'"), 6, 'requests to another service are signed rightly');
my $echo = "SELECT DISTINCT response #>> '{ResponseBody,%s}' FROM saga.outbox JOIN saga.destination USING (destination_id) WHERE name = '%s'";
is(sql(sprintf $echo, 'query', 'service'), 'a=%20&a=x%2Fy&b=2&c=', 'their query in the one order');
is(sql(sprintf $echo, 'path', 'service'), '/prod/v1/orders', 'and their path');
is(sql(sprintf $echo, 'method', lc $_), $_, "method $_") foreach qw(GET PUT DELETE);
like(sql(sprintf $echo, 'headers,authorization', 'service'), qr{/eu-west-1/execute-api/}, 'the region of the settings');
like(sql(sprintf $echo, 'headers,authorization', 'put'), qr{/eu-north-1/execute-api/}, 'or that of the environment');
$count = issued();
$stub->request('POST', '/_forget', {});
publish(3, 'service');
all_sent();
is(issued() - $count, 1, 'keys that the service does not know any more: one refresh');
is(sql("SELECT count(*) FROM saga.outbox WHERE attempts = 1 AND state = 'delivered'"), 9, 'and the same attempts');

# ---------- the trace of an execution ----------

my $definition = encode_json({ StartAt => 'Tell', States => { Tell => { Type => 'Task', Resource => 'arn:aws:states:::sns:publish',
	Parameters => { TopicArn => 'saga:chain', Message => 'traced' }, End => JSON::PP::true } } });
sql("SELECT saga.create_workflow('trace', '$definition')");
my $id = sql("SELECT saga.start_execution('trace', '{}')");
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$id'", 'SUCCEEDED');
(my $trace = $id) =~ tr/-//d;
like((sent())[-1]{traces}[0], qr/^00-$trace-[0-9a-f]{16}-01$/, 'traceparent: the trace is the execution');
sql(q{SELECT saga.publish_to('chain', '"untraced"')});
all_sent();
is_deeply((sent())[-1]{traces}, [], 'none without an execution');
my $given = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
sql(qq{SELECT saga.publish_to('chain', '"given"', NULL, '{"traceparent": "$given"}')});
all_sent();
is_deeply((sent())[-1]{traces}, [$given], 'one that is given is sent as it is');

# ---------- a client that shares nothing with us takes the same roads ----------

# Debian's; another one of the same name may come before it
my ($aws) = grep { -x $_ } '/usr/bin/aws', map { "$_/aws" } split /:/, $ENV{PATH};
SKIP:
{
	die 'there is no aws command line' if !defined $aws && ($ENV{CI} // '') eq 'true';
	skip 'there is no aws command line', 4 if !defined $aws;
	my @command = ($aws, '--endpoint-url', $sns->url, '--region', 'us-east-1', 'sns', 'publish', '--topic-arn', $topic->{topic_arn});
	my %clients = (
		container => { %container, AWS_CONTAINER_AUTHORIZATION_TOKEN => 'Bearer container-token-2' },
		instance  => {%imds});
	plan_of(authorization => 'Bearer container-token-2');
	foreach my $name (sort keys %clients)
	{
		local %ENV = %ENV;
		delete @ENV{ grep { /^AWS_/ } keys %ENV };
		%ENV = (%ENV, %{ $clients{$name} });
		command_ok([ @command, '--message', $name ], "aws: $name");
		ok((sent())[-1]{signed}, "aws: $name: with what it was given");
	}
}

# ---------- no trace of a secret ----------

my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
my $secrets = qr/wJalr|stub-secret|stub-token|stub-session|web-token-of-the-pod|container-token-\d/;
foreach my $file ($dump, $node->logfile)
{
	unlike(slurp_file($file), $secrets, 'no secret in ' . basename($file));
}
unlike(sql('SELECT string_agg(a::text, chr(10)) FROM pg_stat_activity a'), $secrets, 'nor in pg_stat_activity');
unlike(sql('SELECT string_agg(s::text, chr(10)) FROM pg_settings s'), $secrets, 'nor in pg_settings');

$node->stop;
done_testing();
