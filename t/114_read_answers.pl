# Answers as the world writes them: compressed, with byte order marks, in other charsets, with characters
# that PostgreSQL has not, or not in HTTP at all. What was accepted is not sent again because its answer
# cannot be read; where something is to be read from it, it is looked up.
use strict;
use warnings;

use Encode qw(encode);
use File::Temp;
use JSON::PP;
use MIME::Base64 qw(encode_base64 encode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT all_sent sql);

$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';
$ENV{SAGA_TOKEN} = 'correct-horse-battery-staple';

my $dir = File::Temp->newdir('saga-read-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'pg_saga.workers = 1');
create_extensions($node);

my $json = JSON::PP->new->canonical->utf8;
my %path;

sub base64 { return encode_base64($_[0], '') }
sub say_path { return '/say/' . encode_base64url($json->encode($_[0])) }
sub capture { return (capture => { remote_id => 'id' }) }

sub destination
{
	my ($name, $spec, %settings) = @_;
	$path{$name} = say_path($spec);
	my $settings = $json->encode({ url => $raw->url($path{$name}), allow_private => JSON::PP::true,
		retry => { max_attempts => 3, base_ms => 20, cap_ms => 50 }, %settings });
	sql(qq(SELECT saga.create_destination('$name', 'http', \$json\$$settings\$json\$)));
	return;
}

# a look-up that finds it, and says so in plain words
sub lookup
{
	my ($name) = @_;
	$path{"$name looked up"} = say_path({ text => qq({"found": {"id": "looked up $name"}}) });
	return (lookup => { url => $raw->url($path{"$name looked up"}), found => 'found', capture => { remote_id => 'found.id' } });
}

sub publish { sql("SELECT saga.publish_to('$_', '{}')") foreach @_; return }
sub of { return "FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'" }
sub outcome { return sql("SELECT concat_ws(' ', state, attempts, last_class, split_part(last_error, ':', 1)) " . of($_[0])) }
sub captured { return sql("SELECT captured ->> 'remote_id' " . of($_[0])) }
sub body { return sql("SELECT response -> 'ResponseBody' " . of($_[0])) }
sub log_lines { return map { $json->decode($_) } split(/\n/, slurp_file("$dir/raw")) }
sub requests { my ($name) = @_; return grep { $_->{target} eq $path{$name} } log_lines() }

# ---------- what can be read ----------

my $doc = qq({"id": "r-1", "name": "Gr\x{fc}\x{df}e"});
my $utf8 = encode('UTF-8', $doc);
my $zstd = "\x28\xb5\x2f\xfd\x20" . chr(length $utf8) . substr(pack('V', length($utf8) << 3 | 1), 0, 3) . $utf8;
my %readable = (
	plain => { base64 => base64($utf8) },
	gzip => { base64 => base64($utf8), coding => ['gzip'] },
	deflate => { base64 => base64($utf8), coding => ['deflate'] },
	twice => { base64 => base64($utf8), coding => [ 'gzip', 'gzip' ] },
	brotli => { base64 => base64($utf8), coding => ['br'] },
	zstd => { base64 => base64($zstd), headers => { 'content-encoding' => 'zstd' } },
	bom => { base64 => base64("\xef\xbb\xbf$utf8") },
	gzip_bom => { base64 => base64("\xef\xbb\xbf$utf8"), coding => ['gzip'] },
	utf16le_bom => { base64 => base64("\xff\xfe" . encode('UTF-16LE', $doc)) },
	utf16be_bom => { base64 => base64("\xfe\xff" . encode('UTF-16BE', $doc)) },
	utf16le => { base64 => base64(encode('UTF-16LE', $doc)) },
	utf16be => { base64 => base64(encode('UTF-16BE', $doc)), type => 'application/json; charset=utf-16' },
	latin1 => { base64 => base64(encode('ISO-8859-1', $doc)), type => 'application/json; charset=ISO-8859-1' },
	latin9 => { base64 => base64(encode('ISO-8859-15', $doc)), type => 'application/json;charset="iso-8859-15"' },
	windows => { base64 => base64(encode('cp1252', $doc)), type => 'application/problem+json; charset=windows-1252' },
	cyrillic_page => { base64 => base64(encode('cp1252', qq({"id": "r-1", "name": "Gr\x{fc}\x{df}e", "price": "\x{20ac} 5"}))),
		type => 'application/json; charset=iso-8859-1' },
	gb => { base64 => base64(encode('gbk', qq({"id": "r-1", "name": "\x{4e2d}\x{6587}"}))), type => 'application/json; charset=gb2312' },
	unknown_charset => { base64 => base64($utf8), type => 'application/json; charset=x-klingon' },
	utf8_said_latin1 => { base64 => base64($utf8), type => 'application/json; charset=iso-8859-1' },
	no_coding => { base64 => base64($utf8), headers => { 'content-encoding' => 'UTF-8' } },
	nul => { text => '{"id": "r-1", "name": "a\u0000b"}' },
	surrogate => { text => '{"id": "r-1", "name": "a\ud800b", "other": "\udc00", "pair": "\ud83d\ude00"}' },
	nan => { text => '{"id": "r-1", "name": NaN, "least": -Infinity}' });
destination($_, $readable{$_}, capture()) foreach sort keys %readable;
publish(sort keys %readable);
all_sent();
my ($request) = requests('plain');
my %header = map { lc $_->[0] => $_->[1] } @{ $request->{headers} };
like($header{'accept-encoding'}, qr/\bgzip\b/, 'servers may compress');
foreach my $name (sort keys %readable)
{
SKIP:
	{
		skip "this libcurl has no $name", 2 if $name =~ /^(zstd|brotli)$/ && $header{'accept-encoding'} !~ ($name eq 'zstd' ? qr/zstd/ : qr/\bbr\b/);
		is(outcome($name), 'delivered 1 success', "$name: read");
		is(captured($name), 'r-1', "$name: and understood");
	}
}
is(body($_), '{"id": "r-1", "name": "Grüße"}', "$_: nothing is lost")
  foreach qw(gzip utf16le utf16be_bom latin1 latin9 windows utf8_said_latin1 gzip_bom);
is(body('cyrillic_page'), '{"id": "r-1", "name": "Grüße", "price": "€ 5"}', 'Latin-1 that is Windows-1252');
is(body('gb'), '{"id": "r-1", "name": "中文"}', 'two bytes a character');
is(body('nul'), '{"id": "r-1", "name": "a\\\\u0000b"}', 'a character that jsonb has not stays as it was written');
is(body('surrogate'), '{"id": "r-1", "name": "a\\\\ud800b", "pair": "😀", "other": "\\\\udc00"}', 'and half of one');

# ---------- what cannot ----------

my %unreadable = (
	bare_latin1 => { base64 => base64(encode('ISO-8859-1', $doc)) },
	odd_utf16 => { base64 => base64("\xff\xfe" . encode('UTF-16LE', $doc) . "\x41") },
	unknown_coding => { base64 => base64("\x1f\x9d\x90\xff\xfe"), headers => { 'content-encoding' => 'compress' } },
	broken_gzip => { base64 => base64("\x1f\x8b\x08\x00nonsense and more nonsense"), headers => { 'content-encoding' => 'gzip' } },
	no_gzip => { base64 => base64($utf8), headers => { 'content-encoding' => 'gzip' } });
foreach my $name (sort keys %unreadable)
{
	destination($name, $unreadable{$name});
	destination("${name}_read", [ $unreadable{$name}, $unreadable{$name} ], capture());
	destination("${name}_asked", [ ($unreadable{$name}) x 3 ], capture(), lookup("${name}_asked"));
	destination("${name}_rule", [ ($unreadable{$name}) x 4 ], classify => [ { status => [200], body => { path => 'error', exists => JSON::PP::true }, as => 'fatal' } ]);
	destination("${name}_poll", [ { status => 202, text => '{}' } ],
		classify => [ { status => [202], as => 'pending' } ],
		poll => { url => $raw->url(say_path([ $unreadable{$name}, $unreadable{$name}, { text => '{"state": "done", "id": "polled"}' } ])),
			path => 'state', success => 'done', every_ms => 20, capture => { remote_id => 'id' } });
	publish($name, map { "${name}_$_" } qw(read asked rule poll));
}
destination('spoilt', { text => '{"id": "r-1",,' });
destination('spoilt_read', [ { text => '{"id": "r-1",,' }, { text => '{"id": "r-1"}' } ], capture());
publish('spoilt', 'spoilt_read');
all_sent();
foreach my $name (sort keys %unreadable)
{
	is(outcome($name), 'delivered 1 success', "$name: what nobody asks for need not be read");
	is(outcome("${name}_read"), 'failed 1 uncertain Saga.Uncertain', "$name: what is to be captured is in doubt");
	is(scalar(requests("${name}_read")), 1, "$name: and not sent again");
	is(outcome("${name}_asked"), 'delivered 2 success', "$name: with a look-up");
	is(captured("${name}_asked"), "looked up ${name}_asked", "$name: that says what there was to know");
	is(scalar(requests("${name}_asked")), 1, "$name: sent once");
	is(outcome("${name}_rule"), 'failed 1 uncertain Saga.Uncertain', "$name: nor may it be a success that a rule of the body would not let pass");
	is(captured("${name}_poll"), 'polled', "$name: a poll is asked again");
}
is(outcome('spoilt'), 'delivered 1 success', 'JSON that is none: delivered all the same');
is(body('spoilt'), '"{\"id\": \"r-1\",,"', '  as text');
is(outcome('spoilt_read'), 'failed 1 uncertain Saga.Uncertain', '  or, where it is read, in doubt, though the key is known');

# ---------- a workflow that reads it, and one that does not ----------

my @state = (Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => 'saga:bare_latin1', RequestBody => {} },
	End => JSON::PP::true);
foreach ([ 'heedless' ], [ 'reading', ResultSelector => { 'id.$' => '$.ResponseBody.id' } ])
{
	my ($name, @more) = @$_;
	sql("SELECT saga.create_workflow('$name', '" . $json->encode({ StartAt => 'S', States => { S => { @state, @more } } }) . "'), saga.start_execution('$name', '{}')");
}
poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'", '0');
is(sql("SELECT status FROM saga.executions WHERE workflow = 'heedless'"), 'SUCCEEDED', 'a task whose answer nobody looks into has succeeded');
is(sql("SELECT status || ' ' || error FROM saga.executions WHERE workflow = 'reading'"), 'FAILED Saga.Uncertain', 'one whose answer is looked into is in doubt');

# ---------- bombs, and secrets ----------

destination("bomb_$_", { text => 'a' x 1000, times => 20_000, type => 'text/plain', coding => [ split /_/, $_ ] }) foreach qw(gzip br gzip_gzip);
destination('fits', { text => 'a' x 1000, times => 1000, type => 'text/plain', coding => ['gzip'] });
destination('echoed', { status => 400, base64 => base64(encode('UTF-16LE', qq({"error": "wrong token $ENV{SAGA_TOKEN}"}))) },
	auth => { type => 'header', name => 'X-Token', value => '{secret:env:SAGA_TOKEN}' });
destination('echoed_badly', { status => 400, base64 => base64("\xff\xfe" . encode('UTF-16LE', qq({"error": "wrong token $ENV{SAGA_TOKEN}"})) . "\x00\xd8") },
	auth => { type => 'header', name => 'X-Token', value => '{secret:env:SAGA_TOKEN}' });
publish(qw(bomb_gzip bomb_br bomb_gzip_gzip fits echoed echoed_badly));
all_sent();
is(outcome("bomb_$_"), 'delivered 1 success', "$_: done") foreach qw(gzip br gzip_gzip);
is(body("bomb_$_"), '"(too long to be kept)"', "$_: the limit is of what comes out") foreach qw(gzip br gzip_gzip);
is(outcome('fits'), 'delivered 1 success', 'what comes out of another one is below it');
foreach my $name ('echoed', 'echoed_badly')
{
	like(sql("SELECT last_error " . of($name)), qr/wrong token \*+/, "$name: a secret is found in other encodings");
	is(sql("SELECT count(*) FROM saga.outbox_attempt a, saga.outbox o WHERE concat(a::text, o::text) LIKE '%battery%'"), '0', "$name: and nowhere kept");
}

SKIP:
{
	skip 'no /proc', 1 unless -e '/proc/self/status';
	destination('large', { text => 'a' x 4000, times => 1000, type => 'text/plain', coding => ['gzip'] },
		limits => { concurrency => 100 }, max_response_bytes => 4 * 1024 * 1024, timeout_ms => 600000);
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'");
	sql("SELECT count(saga.publish_to('large', '{}')) FROM generate_series(1, 100)");
	all_sent();
	is(sql("SELECT count(*) || coalesce(max(last_error), '') " . of('large') . " AND o.state = 'delivered'"), '100', 'many that are large when they are decompressed');
	my ($peak) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m;
	cmp_ok($peak, '<', 400_000, 'they wait for memory as others do') or diag("$peak kB");
}

# ---------- connections ----------

my $good = base64("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
destination('stray', { raw => $good, later => base64("xyz\r\n") });
foreach my $n (1 .. 4)
{
	publish('stray');
	all_sent();
	# the stray bytes are there before the next request
	poll_until($node, "SELECT count(*) FROM saga.outbox WHERE finished_at > clock_timestamp() - interval '200 ms'", '0');
}
is(sql("SELECT count(*) " . of('stray') . " AND o.state = 'delivered' AND attempts = 1"), '4', 'stray bytes are nobody\'s answer');
is(scalar(requests('stray')), 4, '  and nothing is sent twice for them');

my $banner = { raw => base64("SSH-2.0-OpenSSH_9.2\r\n") };
destination('banner', [ $banner, { text => '{"id": "r-1"}' } ], capture());
destination('banner_asked', [ ($banner) x 2 ], capture(), lookup('banner_asked'));
destination('banner_blind', [ ($banner) x 3 ], idempotency => { in => 'none' });
destination('banner_only', [ ($banner) x 4 ]);
destination('switched', [ { raw => base64("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\nother words\r\n") }, { text => '{"id": "r-1"}' } ]);
publish(qw(banner banner_asked banner_blind banner_only switched));
all_sent();
is(outcome('banner'), 'delivered 2 success', 'an answer that is no HTTP leaves it in doubt');
is(scalar(keys %{ { map { $_->{connection} => 1 } requests('banner') } }), 2, '  the next one has a connection of its own');
is(outcome('banner_asked'), 'delivered 2 success', '  it is looked up where that can be');
is(scalar(requests('banner_asked')), 1, '  and not sent again');
is(outcome('banner_blind'), 'failed 1 uncertain Saga.Uncertain', '  nor where there is no key');
is(outcome('banner_only'), 'failed 3 uncertain States.Http.Socket', '  never taken for a refusal');
is(outcome('switched'), 'delivered 2 success', 'another protocol is no answer');

# ---------- tokens, SNS, SQS ----------

my $bom = "\xef\xbb\xbf";
my $token = say_path([ { raw => base64("220 mail.example.com ESMTP\r\n") },
	{ base64 => base64($bom . '{"access_token": "tok-1", "token_type": "Bearer", "expires_in": 3600}'), coding => ['gzip'] } ]);
destination('tokened', { text => '{}' }, auth => { type => 'oauth2_client_credentials', token_url => $raw->url($token),
	client_id => 'books', client_secret => '{secret:env:SAGA_TOKEN}' });
my $region = 'us-east-1';
sub queue
{
	my ($kind, $name, $spec, %settings) = @_;
	my $endpoint = Saga::Server->start('raw', args => [ '--log', "$dir/$name", '--root', say_path($spec) =~ s/.*\///r ]);
	my $settings = $json->encode({ endpoint_url => $endpoint->url, region => $region, allow_private => JSON::PP::true,
		retry => { max_attempts => 3, base_ms => 20 }, batch => 1, %settings });
	sql("SELECT saga.create_destination('$name', '$kind', '$settings')");
	return;
}
queue('sqs', 'sqs', { base64 => base64($bom . '{"MessageId": "m-1", "MD5OfMessageBody": "99914b932bd37a50b983c5e7c90ae93b"}'),
	type => 'application/x-amz-json-1.0', coding => ['gzip'] }, queue_url => "https://sqs.$region.amazonaws.com/1/q");
my $xml = '<?xml version="1.0" encoding="UTF-16"?><PublishResponse><PublishResult><MessageId>m-2</MessageId></PublishResult></PublishResponse>';
queue('sns', 'sns', { base64 => base64("\xff\xfe" . encode('UTF-16LE', $xml)), type => 'text/xml', coding => ['gzip'] },
	topic_arn => "arn:aws:sns:$region:000000000000:t");
$xml =~ s/UTF-16/ISO-8859-1/;
queue('sns', 'sns_latin1', { base64 => base64(encode('ISO-8859-1', $xml =~ s/<PublishResult>/<Note>\xfc<\/Note><PublishResult>/r)), type => 'text/xml' },
	topic_arn => "arn:aws:sns:$region:000000000000:t");
publish(qw(tokened sqs sns sns_latin1));
all_sent();
like(outcome('tokened'), qr/^delivered \d+ success$/, 'a token endpoint is read so too');
is(sql("SELECT response ->> 'MessageId' " . of($_->[0])), $_->[1], "$_->[0]: and an answer of AWS") foreach [ sqs => 'm-1' ], [ sns => 'm-2' ], [ sns_latin1 => 'm-2' ];
is(sql("SELECT attempts " . of($_)), '1', "$_: at once") foreach qw(sqs sns sns_latin1);

$node->stop;
done_testing();
