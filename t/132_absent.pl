# A payment was made, and its answer lost. The look-up that follows has to say that it is not there before it is
# made again; what says nothing is asked once more.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-absent-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'pg_saga.workers = 1', 'pg_saga.max_queues = 1000');
create_extensions($node);

my $json = JSON::PP->new->canonical->utf8;
my %lookups;

sub say_path { return '/say/' . encode_base64url($json->encode($_[0])) }

# The first look-up gets this answer, all others that it is there; the payment's own answer is lost.
sub pay
{
	my ($name, $answer, $there, %lookup) = @_;
	my $path = say_path([ { %$answer, headers => { 'x-name' => $name } }, { text => $json->encode($there) } ]);
	my $settings = $json->encode({ url => $raw->url("/lost-then/201/$name"), allow_private => JSON::PP::true, idempotency => { in => 'none' },
		retry => { max_attempts => 4, base_ms => 20, cap_ms => 50 }, lookup => { url => $raw->url($path), %lookup } });

	$lookups{$name} = $path;
	sql(qq(SELECT saga.create_destination('$name', 'http', \$json\$$settings\$json\$)));
	sql("SELECT saga.publish_to('$name', '{}')");
	return;
}

sub count { my ($target) = @_; return scalar grep { $json->decode($_)->{target} eq $target } split(/\n/, slurp_file("$dir/raw")) }
sub effects { return count("/lost-then/201/$_[0]") }
sub ends { return sql("SELECT concat_ws(' ', state, outcome, outcome_by) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'") }

my %list = (found => 'list[0]');
my $there = { list => [ { id => 1 } ] };
my @says_nothing = (
	[ 'an error with a good status', { text => '{"error": "try later"}' } ],
	[ 'a text where a list was', { text => '{"list": "busy"}' } ],
	[ 'an object where a list was', { text => '{"list": {}}' } ],
	[ 'a number where a list was', { text => '{"list": 0}' } ],
	[ 'null where a list was', { text => '{"list": null, "errors": []}' } ],
	[ 'false where a list was', { text => '{"list": false}' } ],
	[ 'a text', { text => '"x"' } ],
	[ 'null', { text => 'null' } ],
	[ 'an empty list where an object was', { text => '[]' } ],
	[ 'nothing', { text => '' } ],
	[ 'an element that is null', { text => '{"list": [null]}' } ],
	[ 'an element that is an empty text', { text => '{"list": [""]}' } ],
	[ 'an element that is false', { text => '{"list": [false]}' } ],
	[ 'an element that is empty', { text => '{"list": [{}]}' } ],
	[ 'an element that is an empty list', { text => '{"list": [[]]}' } ],
	(map { [ "status $_", { status => $_, text => '{}' } ] } 201, 202, 203, 206, 226),
	(map { [ "status $_ with an empty list", { status => $_, text => '{"list": []}' } ] } 201, 202, 203, 206, 226),
	[ 'status 204', { status => 204, text => '' } ],
	[ 'a page of a gateway', { status => 404, type => 'text/html', text => '<h1>Not Found</h1>' } ],
	[ 'a page of a gateway in another charset', { status => 404, type => 'Text/HTML; charset=utf-8', text => '[]' } ],
	[ 'a text of a gateway', { status => 404, type => 'text/plain', text => "404 page not found\n" } ],
	[ 'a 404 that is JSON, and is not', { status => 404, text => '{"error": ' } ],
	[ 'status 410', { status => 410, text => '{}' }, { %list, classify => [ { status => [410], as => 'retry' } ] } ],
	[ 'a 404 that a rule puts off', { status => 404, text => '{}' }, { %list, classify => [ { status => [404], as => 'retry' } ] } ],
	[ 'a member that is not there', { text => '{}' }, { found => 'payment.id' } ],
	[ 'a member below null', { text => '{"payment": null}' }, { found => 'payment.id' } ],
	[ 'a member that is an empty text', { text => '{"payment": {"id": ""}}' }, { found => 'payment.id' } ],
	[ 'a member that is an empty object', { text => '{"payment": {"id": {}}}' }, { found => 'payment.id' } ],
	[ 'what a condition does not say', { text => '{"list": []}' }, { %list, absent => { status => [404] } } ],
	[ 'a condition of a body, asked of another status', { status => 202, text => '{}' },
		{ %list, absent => { body => { path => 'list', exists => JSON::PP::false } } } ],
	[ 'a condition that something is missing, asked of no JSON', { type => 'text/plain', text => 'busy' },
		{ %list, absent => { body => { path => 'list', exists => JSON::PP::false } } } ]);
my @says_not_there = (
	[ 'an empty list', { text => '{"list": []}' } ],
	[ 'an empty list that is the document', { text => '[]' }, { found => '[0]' } ],
	[ 'an empty list on the way', { text => '{"list": []}' }, { found => 'list[0].id' } ],
	[ 'an empty list from its end', { text => '{"list": []}' }, { found => 'list[-1]' } ],
	[ 'an empty list at the end', { text => '{"list": []}' }, { found => 'list' } ],
	[ 'a member that is null', { text => '{"payment": {"id": null}}' }, { found => 'payment.id' } ],
	[ 'a member that is false', { text => '{"paid": false}' }, { found => 'paid' } ],
	[ 'a 404 of JSON', { status => 404, text => '{"error": "no such payment"}' }, { found => 'id' } ],
	[ 'a 404 of JSON under another name', { status => 404, type => 'application/problem+json', text => '{"title": "x"}' }, { found => 'id' } ],
	[ 'a 404 without a body', { status => 404, text => '' }, { found => 'id' } ],
	[ 'a 404 without a body and a type', { status => 404, type => '', text => '' }, { found => 'id' } ],
	[ 'a status that a rule calls good', { status => 202, text => '{"list": []}' }, { %list, classify => [ { status => [202], as => 'success' } ] } ],
	[ 'a missing list, as a condition has it', { text => '{"answer": {}}' }, { found => 'answer.list[0]', absent => { body => [
		{ path => 'answer', exists => JSON::PP::true }, { path => 'answer.list', exists => JSON::PP::false } ] } } ],
	[ 'a text, as a condition has it', { status => 404, type => 'text/plain', text => 'no such payment' },
		{ found => 'id', absent => { status => [404], body => { contains => 'no such payment' } } } ],
	[ 'a status, as a condition has it', { status => 410, text => '{}' }, { found => 'id', absent => { status => [ 404, 410 ] } } ]);

sub thing { my ($found) = @_; return { list => [ { id => 1 } ], answer => { list => [1] }, payment => { id => 1 }, paid => JSON::PP::true, id => 1 } }

sub found_in_list { return $_[0]->{found} =~ /^\[/ ? [1] : thing() }

my $n = 0;
my @cases = ((map { [ 0, 'n' . ++$n, @$_ ] } @says_nothing), (map { [ 1, 'n' . ++$n, @$_ ] } @says_not_there));
foreach my $case (@cases)
{
	my ($absent, $name, $what, $answer, $lookup) = @$case;
	pay($name, $answer, found_in_list($lookup // \%list), %{ $lookup // \%list });
}
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0');
foreach my $case (@cases)
{
	my ($absent, $name, $what) = @$case;
	is(effects($name) . ' ' . ends($name) . ' ' . count($lookups{$name}), $absent ? '2 delivered done answer 1' : '1 delivered done lookup 2',
		$absent ? "$what: it is not there" : "$what: asked once more");
}

# ---------- one that never says anything ----------

pay('mute', { text => '{"error": "try later"}' }, { error => 'try later' }, %list);
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0');
is(effects('mute') . ' ' . ends('mute') . ' ' . count($lookups{mute}), '1 failed in_doubt lookup 4', 'in doubt, after as many look-ups as it may make');
like(sql("SELECT last_error FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'mute'"),
	qr/^Saga\.Uncertain: .*does not say whether it is there: .*try later/, 'and what it said');

# ---------- whose it is ----------

# The first one has its answer, the others lose it; there is one thing for each number, whoever asks.
my $found = say_path({ text => '{"list": [{"id": 1}]}' });
my %asks = (
	plain => { lookup => { url => $raw->url("$found?number={number}"), found => 'list[0]' } },
	captured => { lookup => { url => $raw->url("$found?number={number}"), found => 'list[0]', capture => { id => 'list[0].id' } } },
	header => { lookup => { url => $raw->url($found), headers => { 'X-Number' => 'n {number}' }, found => 'list[0]' } },
	search => { lookup => { url => $raw->url($found), method => 'POST', body => { expr => '{"number": number}' }, found => 'list[0]' } });
my @numbers = ([ first => 'status', 7 ], [ second => 'lost-then', 7 ], [ third => 'lost-then', 8 ], [ fourth => 'lost-then', 8 ]);
my %ends = (first => 'delivered done answer', second => 'failed in_doubt lookup', third => 'delivered done lookup', fourth => 'failed in_doubt lookup');

foreach my $name (sort keys %asks)
{
	my $settings = $json->encode({ url => $raw->url("/{kind}/201/$name/{who}"), allow_private => JSON::PP::true, idempotency => { in => 'none' },
		retry => { max_attempts => 3, base_ms => 20, cap_ms => 50 }, %{ $asks{$name} } });

	sql(qq(SELECT saga.create_destination('ask_$name', 'http', \$json\$$settings\$json\$)));
}
foreach my $number (@numbers)
{
	my ($who, $kind, $n) = @$number;

	sql("SELECT saga.publish_to('ask_$_', '{\"who\": \"$who\", \"kind\": \"$kind\", \"number\": $n}')") foreach sort keys %asks;
	poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0');
	foreach my $name (sort keys %asks)
	{
		is(sql("SELECT concat_ws(' ', state, outcome, outcome_by) FROM saga.outbox o JOIN saga.destination d USING (destination_id)
			WHERE d.name = 'ask_$name' AND request->'Body'->>'who' = '$who'") . ' ' . count("/$kind/201/$name/$who"), "$ends{$who} 1", "$name: the $who");
	}
}
is(sql("SELECT count(*) FROM saga.outbox WHERE last_error LIKE 'Saga.Uncertain: %another%'"), 2 * keys %asks, 'what is another message\'s is not taken for its own');

# ---------- the settings ----------

my ($rc, $out, $err) = $node->psql('postgres', q(SELECT saga.create_destination('wrong', 'http',
	'{"url": "https://a.example/", "lookup": {"url": "/b", "found": "b", "absent": {"statuses": [404]}}}')));
like($err, qr/\$\.lookup\.absent\.statuses/, 'a wrong condition is refused with its path');

$node->stop;
done_testing();
