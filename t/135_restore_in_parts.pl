# A restore brings one table after the other, and the publishers of the new database are at work meanwhile: one that
# has read a destination before the names of its secrets are there sends with them when they have come.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $dir = File::Temp->newdir('saga-parts-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'pg_saga.publishers = 0');
create_extensions($node);

my $settings = encode_json({
	url => $raw->url('/status/200'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 200, max_attempts => 1000,
	auth => { type => 'bearer', token => '{secret:key}' } });
$node->safe_psql('postgres', "SELECT saga.set_secret('key', 'K-4711');
	SELECT saga.create_destination('books', 'http', '$settings'); SELECT saga.publish_to('books', '{}')");
{
	local $ENV{PGOPTIONS} = '-c pg_saga.dump_secrets=on';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'pg_dump that asks for secrets');
}
my ($list, $errors) = run_command([ 'pg_restore', '-l', "$dir/dump" ]);
my %part = (first => '', last => '');
$part{ /TABLE DATA saga (reference|secret) / ? 'last' : 'first' } .= "$_\n" foreach grep { !/^;/ } split(/\n/, $list);
like($part{last}, qr/ reference .* secret /s, 'the dump has references and secrets');
append_to_file("$dir/$_", $part{$_}) foreach keys %part;

$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->safe_psql('postgres', "SELECT saga.pause_destination('books')");
$node->reload;
$node->safe_psql('postgres', 'CREATE DATABASE target');

sub restore
{
	my ($which) = @_;
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-L', "$dir/$which", '-d', $node->connstr('target'), "$dir/dump" ],
		"pg_restore: the $which part");
	return;
}

restore('first');
poll_until($node, "SELECT count(*) > 0 FROM saga.outbox_attempt WHERE class = 'auth'", 't', 'target');
restore('last');
ok(poll_until($node, "SELECT state || ' ' || last_status FROM saga.outbox", 'delivered 200', 'target'),
	'a publisher that has read a destination too early sends with its secret');
my @requests = map { decode_json($_) } split(/\n/, slurp_file("$dir/raw"));
is(join(', ', map { $_->[1] } grep { lc $_->[0] eq 'authorization' } map { @{ $_->{headers} } } @requests),
	'Bearer K-4711', 'once');

$node->stop;
done_testing();
