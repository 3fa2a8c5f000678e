# A server that accepts requests and never reads them keeps their bytes in the publisher: of long ones there are so many in flight
# as pg_saga.request_memory has room for, the others stay in their queue, and those of another owner, or of another destination
# of the same one, are not held up.
use strict;
use warnings;

use File::Temp;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

plan skip_all => 'reads /proc' unless -r '/proc/self/status';

my $dir = File::Temp->newdir('saga-requests-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'shared_buffers = 16MB', 'autovacuum = off');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql("CREATE ROLE $_ LOGIN; GRANT USAGE ON SCHEMA saga TO $_; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO $_;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO $_") foreach 'alice', 'mallory';

# ---------- a server that is connected to, and reads when it is told ----------

# a backlog for all of its connections
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 100) or die "could not listen: $@";
my $port = $socket->sockport;
my @readers;
END { kill('KILL', @readers) if @readers }

# Writes the head and the length of each request to a file; the path says the status of the answer.
sub answer_all
{
	my ($log) = @_;
	my $select = IO::Select->new($socket);
	my %read;

	while (1)
	{
		foreach my $ready ($select->can_read)
		{
			if ($ready == $socket)
			{
				my $client = $socket->accept or next;
				$select->add($client);
				$read{$client} = '';
				next;
			}
			if (!sysread($ready, $read{$ready}, 1 << 20, length($read{$ready})))
			{
				$select->remove($ready);
				delete $read{$ready};
				close($ready);
				next;
			}
			my $end = index($read{$ready}, "\r\n\r\n");
			next if $end < 0;
			my $head = substr($read{$ready}, 0, $end);
			my ($length) = $head =~ /^content-length: *(\d+)/mi;
			next if length($read{$ready}) < $end + 4 + ($length // 0);
			my ($status) = $head =~ m{^\S+ /\w+/(\d+)};
			append_to_file($log, join('|', $length // 0, split(/\r\n/, $head)) . "\n");
			syswrite($ready, "HTTP/1.1 $status Said\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"said\": \"x\"}");
			$read{$ready} = '';
		}
	}
}

sub begin_to_read
{
	my ($log) = @_;
	append_to_file($log, '');
	my $pid = fork() // die "could not fork: $!";
	if ($pid == 0) { eval { answer_all($log) }; POSIX::_exit(0) }
	push @readers, $pid;
	return;
}

sub stop_reading { kill('KILL', $readers[-1]); waitpid(pop @readers, 0); return }
sub seen { my ($log, $path) = @_; return grep { m{^\d+\|\S+ /$path/} } split(/\n/, slurp_file($log)) }

# ---------- what is sent ----------

sub destination
{
	my ($owner, $name, $url, %settings) = @_;
	my $json = encode_json({ url => $url, allow_private => ['127.0.0.0/8'], timeout_ms => 600000, base_ms => 20, cap_ms => 50, %settings });
	sql("SELECT saga.create_destination('$name', 'http', \$json\$$json\$json\$); " . ($owner eq 'postgres' ? '' : "SELECT saga.set_destination_owner('$name', '$owner')") . "");
	return;
}

sub hanging { my ($name, $status) = @_; return "http://127.0.0.1:$port/$name/$status" }
sub waiting { my ($like) = @_; return "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name LIKE '$like' AND o.state = 'waiting'" }
sub in_flight { my ($like) = @_; return "SELECT count(*) FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id WHERE lease IS NOT NULL AND d.name LIKE '$like'" }
sub publisher { return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'") }
sub peak_mb { my ($pid) = @_; my ($kb) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m; return int($kb / 1024) }

my $mb = 10;
my $big = "jsonb_build_object('big', repeat('a', $mb * 1000000), 'id', n)";

# Small ones of hers first, so that connections and the publisher are there; and what alice sends arrives.
sub alices_arrive
{
	my ($n, $what) = @_;
	sql("SELECT saga.publish_to('alice.quick', '{}') FROM generate_series(1, $n)");
	return ok(poll_until($node, "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'quick' AND o.state <> 'delivered'", '0'), $what);
}

destination('alice', 'quick', $raw->url('/ok'));
destination('alice', 'letters', hanging('letters', 200));
destination('mallory', "hang$_", hanging("hang$_", 200), concurrency => 10) foreach 1 .. 4;
alices_arrive(1, 'the publisher is there');
my $pid = publisher();
sql("SELECT saga.publish_to('mallory.hang' || d, $big) FROM generate_series(1, 4) d, generate_series(1, 5) n");
ok(poll_until($node, 'SELECT (' . in_flight('hang%') . ') >= 3'), 'long messages are in flight, as many as there is room for');
alices_arrive(3, 'messages of another owner arrive meanwhile');
sql("SELECT saga.publish_to('alice.letters', $big) FROM generate_series(1, 3) n");
ok(poll_until($node, 'SELECT (' . in_flight('letters') . ') > 0'), 'and one of them that is long is sent, too');
alices_arrive(1, 'and so do short ones');
cmp_ok(sql(in_flight('hang%')), '<=', 4, 'of the others there are no more than two thirds of the memory');
is(publisher(), $pid, 'one publisher had all of them');
my $peak = peak_mb($pid);
note("$peak MB");
cmp_ok($peak, '<', 300, 'what it holds of 230 MB of requests, which took a gigabyte');

begin_to_read("$dir/log1");
ok(poll_until($node, waiting('hang%'), '0'), 'all of them arrive when the server reads');
ok(poll_until($node, waiting('letters'), '0'), 'and those of the other owner');
is(scalar(seen("$dir/log1", 'hang\d')), 20, 'each once');
is(scalar(grep { /^(\d+)/ && $1 > $mb * 1000000 } seen("$dir/log1", 'hang\d')), 20, 'and whole');
is(sql("SELECT DISTINCT attempts, state, last_error FROM saga.outbox"), '1|delivered|', 'at the first attempt');
stop_reading();

# ---------- another destination of the same owner ----------

# One that hangs has as many of its requests in flight as it may have: all of those of another one arrive meanwhile.
sub arrive_meanwhile
{
	my ($what) = @_;
	sql("SELECT saga.publish_to('mallory.healthy', $big) FROM generate_series(1, 3) n");
	ok(poll_until($node, waiting('healthy'), '0'), "long messages to a healthy destination arrive meanwhile, $what");
	note('after ' . sql("SELECT string_agg(to_char(finished_at - o.created_at, 'SS.MS'), ' ' ORDER BY outbox_id) FROM saga.outbox o JOIN saga.destination USING (destination_id) WHERE name = 'healthy'"));
	return;
}

sql("DELETE FROM saga.outbox");
destination('mallory', 'healthy', $raw->url('/ok'));
sql("SELECT saga.publish_to('mallory.hang1', $big) FROM generate_series(1, 6) n");
ok(poll_until($node, in_flight('hang1'), '2'), 'of one destination there are two in flight: it leaves room for others');
arrive_meanwhile('beside many');
is(sql(in_flight('hang1')), '2', 'and no more than those were in flight');
# each takes more than is left for others of its owner, and is sent when nothing else of its destination is
destination('mallory', 'huge', hanging('huge', 200), concurrency => 10, request => { body => { template => [ map { '{x}' } 1 .. 150 ] } });
begin_to_read("$dir/log0");
ok(poll_until($node, waiting('hang1'), '0'), 'all of the first have arrived');
stop_reading();
$node->append_conf('postgresql.conf', 'pg_saga.request_memory = 20MB');
$node->reload;
poll_until($node, 'SHOW pg_saga.request_memory', '20MB');
sql("SELECT saga.publish_to('mallory.huge', jsonb_build_object('x', repeat('a', 100000), 'n', n)) FROM generate_series(1, 3) n");
ok(poll_until($node, in_flight('huge'), '1'), 'one that takes nearly all of the memory is in flight');
arrive_meanwhile('beside one that is huge');
is(sql(in_flight('huge')), '1', 'and that was still in flight');
begin_to_read("$dir/log0b");
ok(poll_until($node, waiting('%'), '0'), 'the huge ones arrive one after the other');
is(scalar(grep { /^(\d+)/ && $1 > 15_000_000 } seen("$dir/log0b", 'huge')), 3, 'each once, and whole');
is(sql("SELECT DISTINCT attempts, state, last_error FROM saga.outbox"), '1|delivered|', 'at the first attempt');
is(publisher(), $pid, 'one publisher had all of them');
stop_reading();
$node->append_conf('postgresql.conf', 'pg_saga.request_memory = 64MB');
$node->reload;

# ---------- what gets long when it is composed ----------

# Each is 100 kB, and 10 MB as it is sent: that is known when it was made, and then it goes back until there is room.
sql("DELETE FROM saga.outbox");
my $grown = { body => { template => [ map { '{x}' } 1 .. 100 ] } };
destination('mallory', 'grown', hanging('grown', 200), request => $grown);
sql("SELECT saga.publish_to('mallory.grown', jsonb_build_object('x', repeat('a', 100000), 'n', n)) FROM generate_series(1, 10) n");
ok(poll_until($node, 'SELECT (' . in_flight('grown') . ') BETWEEN 2 AND 3'), 'what a template makes of messages is in flight, as far as there is room');
alices_arrive(3, 'messages of another owner arrive meanwhile');
is(publisher(), $pid, 'the publisher is the same');
$peak = peak_mb($pid);
note("$peak MB");
cmp_ok($peak, '<', 300, 'what it holds of 100 MB of bodies');
begin_to_read("$dir/log2");
ok(poll_until($node, waiting('grown'), '0'), 'all of them arrive');
is(scalar(grep { /^(\d+)/ && $1 > 10_000_000 } seen("$dir/log2", 'grown')), 10, 'each once, and whole');
is(sql("SELECT DISTINCT attempts, state, last_error FROM saga.outbox"), '1|delivered|', 'what went back was no attempt');
stop_reading();

# ---------- what of a long message is needed after its bytes are made ----------

sql("DELETE FROM saga.outbox; SELECT saga.set_secret('word', 'w0rd')");
my %headers = (request => { headers => { 'X-Of-Message' => 'a {id} b {secret:word} c {id}' } });
destination('postgres', 'again', hanging('again', 503), max_attempts => 2, %headers);
destination('postgres', 'told', hanging('told', 422), max_attempts => 1, %headers,
	classify => [ { body => { path => 'said', equals => '{letter}' }, as => 'success' } ]);
destination('postgres', 'wrong', hanging('wrong', 400), max_attempts => 1);
begin_to_read("$dir/log3");
sql("SELECT saga.publish_to(d, $big || '{\"letter\": \"x\"}') FROM unnest('{again, told, wrong}'::text[]) d, (VALUES (7)) v (n)");
ok(poll_until($node, waiting('%'), '0'), 'all have ended');
is(scalar(grep { /X-Of-Message: a 7 b w0rd c 7(\||\$)/i } seen("$dir/log3", 'again'), seen("$dir/log3", 'told')), 3, 'headers are made of the message');
is(sql("SELECT state FROM saga.outbox JOIN saga.destination USING (destination_id) WHERE name = 'told'"), 'delivered', 'conditions see it');
is(sql("SELECT length(body->'Body'->>'big') FROM saga.dead_letter WHERE reason LIKE 'States.Http%' ORDER BY 1 LIMIT 1"), $mb * 1000000, 'and the dead letter has it whole');
stop_reading();

# ---------- in a session ----------

$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
$node->reload;
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'", '0');
sql("DELETE FROM saga.outbox; SELECT saga.publish_to('mallory.hang' || d, $big) FROM generate_series(1, 4) d, generate_series(1, 5) n;
	SELECT saga.publish_to('mallory.grown', jsonb_build_object('x', repeat('a', 100000), 'n', n)) FROM generate_series(1, 5) n");
my $session = $node->background_psql('postgres', extra_params => [ '-U', 'mallory' ]);
$pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/begun/, "\\echo begun\nCALL saga.publish();\n\\echo ended\n");
ok(poll_until($node, 'SELECT (' . in_flight('hang%') . ') >= 3'), 'CALL saga.publish() sends as many as there is room for');
begin_to_read("$dir/log4");
ok(poll_until($node, waiting('%'), '0'), 'and goes on until all have arrived');
$session->query_until(qr/ended/, '');
$peak = peak_mb($pid);
note("$peak MB");
cmp_ok($peak, '<', 300, 'what the session holds of 250 MB of requests');
is(scalar(seen("$dir/log4", '(hang\d|grown)')), 25, 'each once');
is(sql("SELECT DISTINCT attempts, state, last_error FROM saga.outbox"), '1|delivered|', 'at the first attempt');
$session->quit;
stop_reading();

$node->stop;
done_testing();
