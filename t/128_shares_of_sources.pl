# Sources of many owners are served by one process. A server that hangs, or says too much, is paid for out of its
# owner's share: what others receive arrives, and is deleted, meanwhile.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/credentials", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n");
my $aws = start_fauxqs();
my $hers = Saga::Server->start('sqs_script');
my $node = new_saga_node('main');
create_extensions($node);
add_role($node, 'postgres', $_) foreach qw(alice mallory);

sub source
{
	my ($owner, $name, $queue, $url, $endpoint, %settings) = @_;
	my $json = encode_json({
		queue_url => $url, endpoint_url => $endpoint->url, region => 'us-east-1', allow_private => JSON::PP::true,
		credentials => { file => "$dir/credentials" }, %settings });
	sql("SELECT saga.create_source('$name', 'sqs', '$json', '$queue', '$owner')");
	return;
}

sub hers
{
	my ($name, %settings) = @_;
	source('mallory', $name, 'hers', $hers->url("/0/$name"), $hers, receives => 20, wait_s => 20, %settings);
	return;
}

sub counts { return $hers->request('GET', '/_queues') }

sub sum
{
	my ($kind, $what) = @_;
	my $all = counts();
	my $sum = 0;
	$sum += $_->{$kind}{$what} foreach values %$all;
	return $sum;
}

my $sent = 0;
my $url = $aws->queue('letters');

# Twenty more of alice's arrive, and none is left at the service.
sub alice_goes_on
{
	my ($while) = @_;
	$aws->send_messages($url, map { "{\"x\": $_}" } 1 .. 20);
	$sent += 20;
	ok(poll_until($node, q{SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'letters'}, $sent),
		"alice's messages arrive while $while");
	ok(wait_until(sub { join(' ', $aws->counts($url)) eq '0 0' }), 'and are deleted');
	return;
}

sub end_hers
{
	sql("SELECT saga.drop_source('mallory.' || quote_ident(name)) FROM saga.source WHERE owner = 'mallory'::regrole");
	return;
}

sql(qq{SET ROLE alice; SELECT saga.create_queue('letters'); RESET ROLE; SET ROLE mallory; SELECT saga.create_queue('hers')});
source('alice', 'letters', 'letters', $url, $aws, wait_s => 1);

# ---------- deletes are not answered ----------

my @fast = ('same', 'other', map { "fresh$_" } 1 .. 6);
$hers->request('POST', '/_queues', { map { $_ => { messages => 100, fresh => /^fresh/ ? JSON::PP::true : JSON::PP::false,
	delete => 'hang' } } @fast });
hers($_) foreach @fast;
ok(wait_until(sub { sum('delete', 'open') >= 20 }), "mallory's server does not answer deletes");
alice_goes_on("mallory's deletes hang");
alice_goes_on('they still do');
cmp_ok(sum('delete', 'open'), '>', 0, 'they do');
my $most = counts();
cmp_ok($most->{$_}{delete}{most}, '<=', 20, "$_: no more than it may receive at once") foreach @fast;
cmp_ok(sum('delete', 'open'), '<=', 32, 'all of hers are her share');
my $before = sum('receive', 'requests');
cmp_ok($before, '<', 1000, 'and nothing more is received while they are');
end_hers();

# ---------- nor are receives ----------

$hers->request('POST', '/_queues', { map { ("hang$_" => { receive => 'hang' }) } 1 .. 150 });
hers("hang$_") foreach 1 .. 150;
ok(wait_until(sub { sum('receive', 'open') >= 60 }), "mallory's server does not answer receives");
alice_goes_on("mallory's receives hang");
cmp_ok(sum('receive', 'open'), '<=', 91, 'all of hers are her share');
end_hers();

# ---------- nor is what hides messages for longer, while they cannot be taken ----------

$hers->request('POST', '/_queues', { map { ("late$_" => { messages => 100, fresh => JSON::PP::true, extend => 'hang' }) } 1 .. 5 });
sql(q{CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF (SELECT owner FROM saga.source WHERE source_id = new.source_id) = 'mallory'::regrole THEN RAISE 'not today'; END IF; RETURN new; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON saga.source_seen FOR EACH ROW EXECUTE FUNCTION public.refuse()});
hers("late$_", visibility_timeout_s => 5) foreach 1 .. 5;
ok(wait_until(sub { sum('extend', 'open') > 0 }), 'what came cannot be taken, and is to be hidden for longer');
alice_goes_on('that hangs');
cmp_ok(sum('extend', 'open') + sum('delete', 'open'), '<=', 32, 'all of hers are her share');
end_hers();
alice_goes_on('mallory is gone');

$node->stop;
done_testing();
