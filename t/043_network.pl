# What the network can do to the publisher, and the publisher to the network: a name server that hangs,
# servers that drop a request, addresses that names resolve to, headers, proxies, endless answers, sockets.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical->utf8;
my $dir = File::Temp->newdir('saga-network-XXXXXX', TMPDIR => 1);

# Names of the test's own; everything else is the real one's.
append_to_file("$dir/resolver.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int (*resolve_fn) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	resolve_fn	real = (resolve_fn) dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo own = {0};

	if (hints != NULL)
		own = *hints;
	if (name != NULL && strcmp(name, "hang.test") == 0)
		for (;;)
			pause();
	if (name != NULL && strcmp(name, "loop.test") == 0)
		return own.ai_family = AF_INET, real("127.0.0.1", service, &own, result);
	if (name != NULL && strcmp(name, "mapped.test") == 0)
		return own.ai_family = AF_INET6, real("::ffff:127.0.0.1", service, &own, result);
	if (name != NULL && strcmp(name, "metadata.test") == 0)
		return own.ai_family = AF_INET, real("169.254.169.254", service, &own, result);
	return real(name, service, hints, result);
}

/* Of a long write the first record leaves, and the connection is gone then. */
static const void *torn = NULL;

int
SSL_write(void *ssl, const void *buffer, int n)
{
	int			(*real) (void *, const void *, int) = dlsym(RTLD_NEXT, "SSL_write");

	if (n <= 8192)
		return real(ssl, buffer, n);
	real(ssl, buffer, 8192);
	torn = ssl;
	return -1;
}

int
SSL_get_error(const void *ssl, int result)
{
	int			(*real) (const void *, int) = dlsym(RTLD_NEXT, "SSL_get_error");

	return ssl == torn ? 5 : real(ssl, result); /* SSL_ERROR_SYSCALL */
}
C
system('cc', '-shared', '-fPIC', '-o', "$dir/resolver.so", "$dir/resolver.c", '-ldl') == 0
  or BAIL_OUT('the resolver of the test could not be compiled');
append_to_file("$dir/two-lines", "one\r\nX-Evil: 1\n");
chmod 0755, "$dir";

my $accounting = start_accounting();
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', { start => 0 }, 'restart_after_crash = on', 'pg_saga.publishers = 1');

# proxy variables of the server's environment, which must not be obeyed: the proxy would note it
{
	local $ENV{LD_PRELOAD} = join(' ', $ENV{LD_PRELOAD} // (), "$dir/resolver.so");
	local @ENV{qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY)} = ($raw->url) x 6;
	$node->start;
}
create_extensions($node);

sub destination
{
	my ($name, %settings) = @_;
	my $text = $json->encode({ allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 200, max_attempts => 3, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$text')");
	return;
}

sub publish
{
	my ($to, $n, $more) = @_;
	my $invoice = $json->encode({ number => "$to-$n", currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19',
		tax => '0.19', lines => [ { amount => '1.00' } ], note => $more // 'x' });
	sql("SELECT saga.publish_to('$to', '$invoice')");
	return;
}

sub waiting_for { return poll_until($node, "SELECT count(*) FROM saga.outbox JOIN saga.destination d USING (destination_id)
	WHERE state = 'waiting' AND d.name ~ '$_[0]'", '0') }

sub outcome
{
	my ($to) = @_;
	return sql("SELECT string_agg(concat_ws(' ', state, attempts, last_status, last_error), ', ' ORDER BY outbox_id)
		FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = '$to'");
}

sub raw_requests { return map { $json->decode($_) } split(/\n/, slurp_file("$dir/raw")) }
sub publisher { return sql("SELECT pid FROM saga.workers WHERE type = 'publisher' LIMIT 1") }

# ---------- a name server that hangs ----------

destination('hang', url => 'http://hang.test/', timeout_ms => 60000, connect_timeout_ms => 60000);
destination('books', url => $accounting->url('/v1/invoices'));
publish('hang', $_) foreach 1 .. 3;
poll_until($node, "SELECT count(*) = 3 FROM saga.timer WHERE kind = 'o' AND lease IS NOT NULL");
my $start = time;
publish('books', $_) foreach 1 .. 5;
waiting_for('books');
like(outcome('books'), qr/^delivered 1 201(, delivered 1 201){4}$/, 'a name that is not resolved holds up nobody else');
cmp_ok(time - $start, '<', 30, 'nor for long');
my $pid = publisher();
$start = time;
sql("SELECT pg_terminate_backend($pid)");
wait_for_exit($pid);
cmp_ok(time - $start, '<', 20, 'and the publisher can be terminated at once');
sql("SELECT saga.pause_destination('hang')");
is(scalar(raw_requests()), 0, "the environment's proxy is not used");

# ---------- a server that drops after it took the request ----------

foreach my $method (qw(POST PUT PATCH DELETE))
{
	my $to = 'drop-' . lc $method;
	destination($to, url => $raw->url('/drop-second'), method => $method,
		$method eq 'DELETE' ? (request => { body => 'none' }) : ());
	foreach my $n (1 .. 3)
	{
		publish($to, $n);
		waiting_for($to);
	}
	my $attempts = sql("SELECT sum(attempts) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = '$to'");
	my @requests = grep { $_->{method} eq $method } raw_requests();
	is(scalar @requests, $attempts, "$method: as many requests as attempts");
	cmp_ok(scalar(grep { $_->{n} == 2 } @requests), '>=', 1, 'one was dropped on a connection that was used before')
	  if $method ne 'DELETE';
	unlike(outcome($to), qr/waiting|failed/, 'and all arrived in the end');
}

# what is signed is given to libcurl as a whole, and it would send it again by itself
sql(q(SELECT saga.set_secret('signer', '{"access_key_id": "AKIDDROP", "secret_access_key": "S"}')));
destination('drop-signed', url => $raw->url('/drop-second'), region => 'eu-west-1', credentials => { secret => 'signer' },
	auth => { type => 'aws_sigv4', service => 'execute-api' });
foreach my $n (1 .. 3)
{
	publish('drop-signed', $n);
	waiting_for('drop-signed');
}
my @signed = grep { grep { lc $_->[0] eq 'authorization' && $_->[1] =~ /AKIDDROP/ } @{ $_->{headers} } } raw_requests();
is(scalar @signed, sql("SELECT sum(attempts) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = 'drop-signed'"),
	'signed: as many requests as attempts');
sql(q(SELECT saga.set_secret('signer', '{"access_key_id": "AKID\\r\\nX-Evil: 1", "secret_access_key": "S"}')));
destination('evil', url => $raw->url('/ok'), region => 'eu-west-1', credentials => { secret => 'signer' },
	retry => { deadline_s => 1 }, auth => { type => 'aws_sigv4', service => 'execute-api' });
publish('evil', 1);
waiting_for('evil');
like(outcome('evil'), qr/hold a character that no key/, 'credentials cannot bring a header');
is(scalar(grep { $_->{target} eq '/ok' && $_->{body} =~ /evil/ } raw_requests()), 0, 'and are not sent');

destination('drop', url => $raw->url('/drop'));
publish('drop', 1);
waiting_for('drop$');
is(scalar(grep { $_->{target} eq '/drop' } raw_requests()), 3, 'a server that always drops: one request for each attempt');

# ---------- addresses, after the name was resolved ----------

my $port = $accounting->port;
my %url = (name => "http://loop.test:$port/v1/invoices", mapped => "http://mapped.test:$port/v1/invoices",
	literal => "http://[::ffff:127.0.0.1]:$port/v1/invoices", number => "http://2130706433:$port/v1/invoices",
	octal => "http://0177.0.0.1:$port/v1/invoices", metadata => 'http://metadata.test/latest/meta-data/');
foreach my $name (sort keys %url)
{
	destination("private-$name", url => $url{$name}, allow_private => $name eq 'metadata' ? ['127.0.0.0/8'] : ['10.0.0.0/8']);
	publish("private-$name", 1);
}
destination('allowed', url => $url{name}, allow_private => ['127.0.0.1/32']);
publish('allowed', 1);
waiting_for('private|allowed');
like(outcome("private-$_"), qr/^failed 1 States.Http.Socket: the address of the destination is private/,
	"refused: $url{$_}") foreach sort keys %url;
is(outcome('allowed'), 'delivered 1 201', 'unless the destination allows the range');
is(scalar(grep { ($_->{number} // '') =~ /^private/ } @{ $accounting->audit->{requests} }), 0, 'nothing was sent there');

# ---------- headers ----------

destination('evil-secret', url => $raw->url('/ok'), headers => { 'X-Key' => "{secret:file:$dir/two-lines}" }, retry => { deadline_s => 1 });
destination('evil-message', url => $raw->url('/ok'), headers => { 'X-Note' => '{note}' }, retry => { deadline_s => 1 });
publish('evil-secret', 1);
my (undef, undef, $refused) = $node->psql('postgres', q{SELECT saga.publish_to('evil-message', '{"note": "a\r\nX-Evil: 1"}')});
waiting_for('evil');
like(outcome('evil-secret'), qr/^failed .*more than one line/, 'a secret of two lines is no header');
like($refused, qr/header "X-Note" must not hold a control character/, 'nor is a text of the message');
is(scalar(grep { lc $_->[0] eq 'x-evil' } map { @{ $_->{headers} } } raw_requests()), 0, 'neither was sent');

# ---------- answers ----------

destination('endless', url => $raw->url('/endless'), max_response_bytes => 100000);
publish('endless', 1);
waiting_for('endless');
like(outcome('endless'), qr/^delivered 1 200/, 'an answer without end is cut off');
my ($peak) = slurp_file('/proc/' . publisher() . '/status') =~ /^VmHWM:\s+(\d+) kB/m;
cmp_ok($peak, '<', 200 * 1024, 'and does not fill the memory');

# ---------- a proxy that is asked for ----------

sub set_and_reload
{
	my (%settings) = @_;
	sql(join('', map { "ALTER SYSTEM SET pg_saga.$_ = '$settings{$_}';\n" } sort keys %settings) . 'SELECT pg_reload_conf()');
	poll_until($node, "SELECT bool_and(current_setting('pg_saga.' || n) = v) FROM (VALUES "
		  . join(', ', map { "('$_', '$settings{$_}')" } sort keys %settings) . ') s (n, v)');
	# the publisher reads it with its next turn; one that starts now has it
	my $old = publisher();
	if ($old ne '') { sql("SELECT pg_terminate_backend($old)"); wait_for_exit($old); }
	return;
}

set_and_reload(proxy => $raw->url, no_proxy => 'other.test, .direct.test');
destination('proxied', url => 'http://api.example.test/ok', allow_private => JSON::PP::false);
destination('direct', url => 'http://www.direct.test/ok', max_attempts => 1);
destination('local', url => $accounting->url('/v1/invoices'));
destination('inside', url => 'http://10.0.0.1/ok', allow_private => JSON::PP::false);
publish($_, 1) foreach qw(proxied direct local inside);
waiting_for('proxied|direct|local|inside');
is(outcome('proxied'), 'delivered 1 200', 'through the proxy, which resolves the name');
my ($seen) = grep { $_->{target} =~ /^http:/ } raw_requests();
is($seen->{target}, 'http://api.example.test/ok', 'as proxies are asked');
like(outcome('direct'), qr/^failed 1 States.Http.Socket: Could not resolve host: www.direct.test/, 'pg_saga.no_proxy: not for these');
is(outcome('local'), 'delivered 1 201', 'nor for loopback');
like(outcome('inside'), qr/^failed 1 States.Http.Socket: the address of the destination is private/, 'a private address is refused all the same');
my ($out, $err) = ('', '');
isnt($node->psql('postgres', "ALTER SYSTEM SET pg_saga.proxy = 'http://user:password\@proxy'", stderr => \$err), 0, 'a proxy with a password is refused');
like($err, qr/User and password cannot be a part of it/, 'with the reason');

# ---------- certificates ----------

append_to_file("$dir/ca.pem", "no certificate\n");
set_and_reload(proxy => '', ca_file => "$dir/ca.pem");
destination('tls', url => 'https://127.0.0.1:' . $accounting->port . '/', max_attempts => 1);
publish('tls', 1);
waiting_for('tls');
like(outcome('tls'), qr/^failed 1 States.Http.Socket: .*ca\.pem/, 'pg_saga.ca_file is what servers are checked against');
SKIP:
{
	skip 'no openssl, or a PostgreSQL without it', 2
	  if system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null") != 0
	  || sql("SELECT count(*) FROM pg_settings WHERE name = 'ssl_library' AND setting = 'OpenSSL'") ne '1';
	chmod 0644, "$dir/key.pem", "$dir/cert.pem";
	my $tls = Saga::Server->start('raw', args => [ '--log', "$dir/tls", '--key', "$dir/key.pem", '--cert', "$dir/cert.pem" ]);
	set_and_reload(ca_file => "$dir/cert.pem");
	foreach my $name (qw(whole torn))
	{
		destination($name, url => 'https://127.0.0.1:' . $tls->port . '/ok', max_attempts => 1);
		publish($name, 1, 'x' x ($name eq 'torn' ? 40000 : 40));
		waiting_for($name);
	}
	is(outcome('whole'), 'delivered 1 200', 'a server whose certificate is good');
	is(sql("SELECT concat_ws(' ', last_class, outcome) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = 'torn'"),
		'uncertain in_doubt', 'of a write that failed part-way something has left');
}
set_and_reload(ca_file => '');

# ---------- sockets ----------

$node->append_conf('postgresql.conf', 'max_files_per_process = 64');
$node->restart;
$accounting->reset;
$accounting->faults([ { path => '/v1/invoices', action => 'delay', ms => 300, at => 'after' } ]);
destination('many', url => $accounting->url('/v1/invoices'), concurrency => 1000);
sql(join('', map { "SELECT saga.publish_to('many', '"
	  . $json->encode({ number => "many-$_", currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19',
		lines => [ { amount => '1.00' } ] }) . "');\n" } 1 .. 60));
waiting_for('many');
is(sql("SELECT count(*) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = 'many' AND state = 'delivered'
	AND attempts = 1"), '60', 'more messages than sockets: all are delivered');
my $most = $accounting->audit->{clients}{anonymous}{max_concurrent};
cmp_ok($most, '<=', 20, 'no more requests at once than descriptors may be used');
cmp_ok($most, '>=', 3, 'and still several at once');
unlike(slurp_file($node->logfile), qr/Too many open files/, 'and some are left for the server');

$node->stop;
done_testing();
