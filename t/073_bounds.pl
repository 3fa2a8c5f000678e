# What one owner can make a publisher do for a message or an answer takes a bounded time: the messages
# of others go out meanwhile, and what is searched for is still found.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test qw(:DEFAULT sql);

# Far below what these took: minutes of a quiet machine, hours, or for ever.
my $SOON = 60;

my $json = JSON::PP->new->canonical->utf8;
my $dir = File::Temp->newdir('saga-bounds-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'log_min_messages = info');
create_extensions($node);

sub destination
{
	my ($name, %settings) = @_;
	my $text = $json->encode({ url => $raw->url('/ok'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 200,
		max_attempts => 1, timeout_ms => 600_000, connect_timeout_ms => 300_000, %settings });
	$text =~ s/'/''/g;
	sql("SELECT saga.create_destination('$name', 'http', '$text')");
	return;
}

sub state_of
{
	my ($to) = @_;
	return "SELECT string_agg(state || ' ' || coalesce(last_status::text, '-'), ',' ORDER BY o.outbox_id) FROM saga.outbox o
		JOIN saga.destination d USING (destination_id) WHERE d.name = '$to'";
}

# Both are sent by the one publisher: that of somebody else soon after.
sub is_soon
{
	my ($what, $to, $state, $publish) = @_;
	my $start = time;
	sql($publish);
	sql("SELECT saga.publish_to('other', '{}')");
	poll_until($node, state_of($to), $state);
	poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0');
	cmp_ok(time - $start, '<', $SOON, $what);
	return;
}

destination('other');

# ---------- expressions ----------

destination('search', request => { body => { expr => q({"r": $contains(x, y)}) } });
is_soon('a search for a long text in a longer one', 'search', 'delivered 200',
	"SELECT saga.publish_to('search', jsonb_build_object('x', repeat('a', 4000000), 'y', repeat('a', 2000000) || 'b'))");
destination('shared', request => { body => { expr => '$' . '.{"a": $, "b": $}' x 60 } });
my (undef, undef, $stderr) = $node->psql('postgres', "SELECT saga.publish_to('shared', '{}')");
like($stderr, qr/takes too much memory|takes too many steps/, 'a result whose parts are shared is refused');

# ---------- regular expressions ----------

# What takes too long does not match; nor does one that is not accepted any more, of an earlier version, and sending goes on.
destination($_, url => $raw->url('/answer'), max_response_bytes => 4_000_000) foreach 'ahead', 'nested', 'named';
sql(q(UPDATE saga.destination SET settings = settings || '{"classify": [{"body": {"matches": "(?=(a+)+c)a"}, "as": "fatal"}]}' WHERE name = 'ahead'));
sql(q(UPDATE saga.destination SET settings = settings || '{"classify": [{"body": {"matches": "^((a+)+)+b$"}, "as": "fatal"}],
	"retry_after": {"body_regex": "(?:(a+)+x)([0-9])"}}' WHERE name = 'nested'));
sql(q(UPDATE saga.destination SET settings = settings || '{"classify": [{"body": {"matches": "[[.a.]a]|[[.hyphen.]]"}, "as": "fatal"}]}' WHERE name = 'named'));
foreach my $name ('ahead', 'nested', 'named')
{
	is_soon("a stored regular expression that takes for ever: $name", $name, 'delivered 200',
		"SELECT saga.publish_to('$name', '{\"base64\": \"YQ==\", \"times\": 3000000}')");
	wait_for_log($node, qr/destination "$name" has settings that are not accepted any more/) if $name eq 'named';
}

# ---------- broken encodings ----------

# At each of its bytes the answer is no UTF-8; or at each second one.
destination('broken', url => $raw->url('/answer'), max_response_bytes => 4_000_000);
is_soon("an answer that is no text anywhere: $_->[0]", 'broken', join(',', ('delivered 200') x $_->[1]),
	"SELECT saga.publish_to('broken', jsonb_build_object('base64', replace(encode(decode(repeat('$_->[0]', 1900000), 'hex'), 'base64'), E'\\n', '')))")
	foreach [ 'e2e2', 1 ], [ 'ff61', 2 ], [ '0000', 3 ];

# ---------- secrets ----------

my $plain = 'k/y+of p%40ss "7"';
my $long = ('a' x 8000) . 'b';
my $copied = "plain\t$plain\nlong\t$long\n";
sql("CREATE TEMP TABLE s (name text, value text);\nCOPY s FROM STDIN;\n$copied\\.\nSELECT saga.set_secret(name, value) FROM s;");
destination('plain', url => $raw->url('/answer'), auth => { type => 'header', name => 'X-Key', value => '{secret:plain}' });
destination('long', url => $raw->url('/answer'), max_response_bytes => 4_000_000,
	auth => { type => 'header', name => 'X-Key', value => '{secret:long}' });
is_soon('a secret that the answer nearly holds, everywhere', 'long', 'delivered 200,delivered 200,delivered 200,delivered 200',
	"SELECT saga.publish_to('long', '{\"base64\": \"YQ==\", \"times\": 3900000}')
	FROM generate_series(1, 4)");

# Each answer, and what is kept of it.
my $hex = sub { return join('', map { sprintf($_[1], ord) } split(//, $_[0])) };
my @answers = (
	[ 'nothing of it', 'nothing of it' ],
	[ "it: $plain.", 'it: *.' ],
	[ "$plain$plain", '*' ],
	[ $hex->($plain, '%%%02x'), '*' ],
	[ $hex->($plain, '\\u%04X'), '*' ],
	[ $hex->($plain, '&#%d;'), '*' ],
	[ $hex->($plain, '&#x%X;'), '*' ],
	# some characters encoded, some not
	[ '<k\/y+of+p%2540ss%20&quot;7\">', '<*>' ],
	[ '<k/y%2Bof p%40ss \"7\">', '<*>' ],
	[ '<' . encode_base64($plain, '') . '>', qr/^<\*\w?=*>$/ ],
	[ '<' . encode_base64("$plain and more", '') . '>', qr/^<\*[\w=]*>$/ ],
	# cut off, also in the middle of a character
	[ '<k/y+of p', '<*' ],
	[ '<k/y+of p%254', '<*' ],
	[ '<k/y+of p%40ss &qu', '<*' ],
	[ '<k/y+of', '<*' ],
	[ '<k/y+o', '<k/y+o' ],
	[ 'k/y+of k/y+of p%40ss "7"', 'k/y+of *' ],
	[ 'k/y+of p%40ss "8"', 'k/y+of p%40ss "8"' ],
	# what is no UTF-8, wherever it is
	[ 'a' x 63 . "\xC3\xA9" . 'b' x 70 . "\xFF\xC3", 'a' x 63 . "\xC3\xA9" . 'b' x 70 . "\xEF\xBF\xBD" x 2 ],
	[ 'a' x 61 . "\xF0\x9F\x98\x80" . "b\0c" . "\xF0\x9F" . 'd', 'a' x 61 . "\xF0\x9F\x98\x80" . "b\xEF\xBF\xBDc" . "\xEF\xBF\xBD" x 2 . 'd' ]);
foreach my $case (@answers)
{
	my ($answer, $kept) = @$case;
	my $sent = encode_base64($answer, '');
	my $id = sql("SELECT saga.publish_to('plain', '{\"base64\": \"$sent\"}')");
	poll_until($node, "SELECT state FROM saga.outbox WHERE outbox_id = '$id'", 'delivered');
	my $got = sql("SELECT response #>> '{ResponseBody}' FROM saga.outbox WHERE outbox_id = '$id'");
	$got =~ s/\*+/*/g;
	ref $kept ? like($got, $kept, "kept of $answer") : is($got, $kept, "kept of $answer");
}

$node->stop;
done_testing();
