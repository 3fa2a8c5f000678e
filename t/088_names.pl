# A dump and its restore keep what names mean: references, grants, whose secret a destination has.
# Without the secrets a destination finds its own again when their owner has set it, and nobody else's.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $dir = File::Temp->newdir('saga-names-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('names', 'pg_saga.workers = 1', 'pg_saga.publishers = 1');
my $settings = '{"url": "' . $raw->url('/ok') . '", "allow_private": true, "base_ms": 10, "cap_ms": 50, "max_attempts": 10000, "headers": {"X-Key": "{secret:%s}"}}';

sub sql { return $node->safe_psql($_[0], $_[1]) }

# what the server was sent in X-Key since this was asked before
my $read = 0;

sub keys_sent
{
	my @lines = split /\n/, -e "$dir/raw" ? slurp_file("$dir/raw") : '';
	my @keys;
	foreach my $line (@lines[ $read .. $#lines ])
	{
		push @keys, map { $_->[1] } grep { lc $_->[0] eq 'x-key' } @{ decode_json($line)->{headers} };
	}
	$read = @lines;
	return join ' ', sort @keys;
}

# ---------- what there is ----------
sql('postgres', 'CREATE DATABASE source');
sql('source', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE gone;
CREATE ROLE "Odd.Role" LOGIN;
GRANT USAGE ON SCHEMA saga TO PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO PUBLIC;
GRANT pg_read_server_files TO alice, bob;
GRANT bob TO alice;
SQL

# a secret of that name is the administrator's, alice's, bob's and one more's
foreach ([ postgres => 'admin' ], [ alice => 'alice' ], [ bob => 'bob' ], [ '"Odd.Role"' => 'odd' ])
{
	sql('source', "SET ROLE $_->[0]; SELECT saga.set_secret('key', 'Key-of-$_->[1]')");
}
sql('source', "SET ROLE \"Odd.Role\"; SELECT saga.grant('secret', 'key', 'bob', 'use')");
sql('source', "SET ROLE alice; SELECT saga.grant('secret', 'key', 'gone', 'use'); SELECT saga.grant('secret', 'key', 'bob', 'use')");
# the administrator's, given to alice with his secret; alice's own; bob's with two others'
sql('source', "SELECT saga.create_destination('given', 'http', '" . sprintf($settings, 'key') . "'), saga.set_destination_owner('given', 'alice')");
sql('source', "SET ROLE alice; SELECT saga.create_destination('own', 'http', '" . sprintf($settings, 'key') . "')");
sql('source', "SET ROLE bob; SELECT saga.create_destination('lent', 'http', '" . sprintf($settings, 'alice.key') . "'),
	saga.create_destination('odd', 'http', '" . sprintf($settings, '\\"Odd.Role\\".key') . "')");
sql('source', "SET ROLE bob; SELECT saga.create_queue('q')");
sql('source', q(SET ROLE alice; SET pg_saga.owner_path = 'bob'; SELECT saga.create_workflow('w', '{"StartAt": "S", "States": {
	"S": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "saga:q", "MessageBody": 1}, "Next": "P"},
	"P": {"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination": "given", "Payload": 1}, "End": true}}}')));
sql('source', q(SET ROLE bob; SELECT saga.grant('queue', 'q', 'gone', 'use'), saga.grant('queue', 'q', '"Odd.Role"', 'read')));
sql('source', 'SET pg_saga.keep_owners = off; DROP OWNED BY gone; DROP ROLE gone');
# made after the reference: not what was meant
sql('source', "SET ROLE alice; SELECT saga.create_queue('q')");

my %send = (given => 'alice', own => 'alice', lent => 'bob', odd => 'bob');

sub send_all
{
	my ($db) = @_;
	sql($db, "SET ROLE $send{$_}; SELECT saga.publish_to('$_', '1')") foreach sort keys %send;
	return;
}

sub delivered { return poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'delivered'", $_[1], $_[0]) }

send_all('source');
delivered('source', 4);
is(keys_sent(), 'Key-of-admin Key-of-alice Key-of-alice Key-of-odd', 'each destination has the secret that was meant when it was made');

my $grants = q(SELECT kind, owner, name, role, "right", granted_by FROM saga.grants ORDER BY 1, 2, 3, 4, 5);
my $references = q(SELECT referrer, kind, name, object_id, object_owner, object_name FROM saga.reference ORDER BY referrer, referrer_id, kind, name);
my $expected_grants = sql('source', "$grants") =~ s/^.*\|\d+\|.*\n?//gmr =~ s/\n$//r;
my $expected_references = sql('source', $references);
like($expected_grants, qr/^secret\|alice\|key\|bob\|use\|alice$/m, 'grants are there');
is(sql('source', 'SELECT count(*) FROM saga.object_grant g WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.role)'), '2', 'and those of a role that was dropped');

# ---------- restored ----------
my %options = (without => '', with => '-c pg_saga.dump_secrets=on');
foreach my $db (sort keys %options)
{
	local $ENV{PGOPTIONS} = $options{$db};
	my $file = $node->basedir . "/$db";
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('source') ], "pg_dump $db secrets");
	delete local $ENV{PGOPTIONS};
	sql('postgres', "CREATE DATABASE \"$db\"");
	$node->command_ok([ 'pg_restore', '--single-transaction', '--exit-on-error', '-d', $node->connstr($db), $file ], "$db: restored");
	is(sql($db, $references), $expected_references, "$db: names mean what they meant");
	is(sql($db, 'SELECT count(*) FROM saga.secret'), $db eq 'with' ? '4' : '0', "$db: secrets");
	is(sql($db, 'SELECT count(*) FROM saga.object_grant g WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.role)'), '0', "$db: no right of a role by its number");
}
is(sql('with', $grants), $expected_grants, 'with: what was granted');
is(sql('without', $grants), $expected_grants =~ s/\nsecret.*//gmr, 'without: what was granted, but on what is not there');

send_all('with');
delivered('with', 8);
is(keys_sent(), 'Key-of-admin Key-of-alice Key-of-alice Key-of-odd', 'with: each has its secret');

# a workflow's too
sql('with', "SET ROLE alice; SELECT saga.start_execution('w')");
delivered('with', 9);
keys_sent();
is(sql('with', "SELECT q.owner FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'q'"), 'bob', 'with: what the definition says is the queue that it said');

# ---------- secrets set again, one after the other ----------
send_all('without');
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting' AND last_error LIKE '%secret \"key\" does not exist%'", 4, 'without');
is(keys_sent(), '', 'without: nothing is sent without its secret');
# of that name, but not of that owner
sql('without', "SET ROLE bob; SELECT saga.set_secret('key', 'Key-of-bob-2')");
sql('without', "SET ROLE alice; SELECT saga.set_secret('key', 'Key-of-alice-2')");
sql('without', "SELECT saga.resume_destination(format('%s.%I', owner, name)) FROM saga.destination");
delivered('without', 6);
is(keys_sent(), 'Key-of-alice-2 Key-of-alice-2', 'without: alice has set hers, and two destinations have it');
is(sql('without', "SELECT string_agg(DISTINCT d.name, ' ') FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE state = 'waiting'"), 'given odd', 'the others wait for theirs');
my ($rc, $out, $err) = $node->psql('without', "SET ROLE alice; SELECT saga.drop_secret('key')");
like($err, qr/cannot drop secret "key" because a destination refers to it/, 'it cannot be dropped, as before');
sql('without', "SELECT saga.set_secret('key', 'Key-of-admin-2')");
sql('without', "SET ROLE \"Odd.Role\"; SELECT saga.set_secret('key', 'Key-of-odd-2')");
sql('without', "SELECT saga.resume_destination(format('%s.%I', owner, name)) FROM saga.destination");
delivered('without', 8);
is(keys_sent(), 'Key-of-admin-2 Key-of-odd-2', 'without: each has found its own again');
is(sql('without', "SELECT count(*) FROM saga.reference r JOIN saga.secret s ON s.secret_id = r.object_id WHERE r.kind = 'secret' AND s.owner = r.object_owner"), '4', 'by the id it has now');

$node->stop;
done_testing();
