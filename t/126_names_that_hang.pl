# Host names whose name server does not answer: threads and descriptors of the publisher are bounded,
# other owners' messages arrive, and what fails for want of descriptors or threads of the publisher's own
# costs no message an attempt. Names ending in .hangs.test are not resolved while a file is there.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $compiler = $ENV{CC} || 'cc';
my $json = JSON::PP->new->canonical->utf8;
my $dir = PostgreSQL::Test::Utils::tempdir();
plan skip_all => 'looks into /proc' unless -d '/proc/self/fd';
append_to_file("$dir/lacks.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Is there a file of this name in the directory of the test? */
static int
flag(const char *name)
{
	const char *dir = getenv("SAGA_TEST_FLAGS");
	char		path[1024];

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "", name);
	return access(path, F_OK) == 0;
}

int
socket(int domain, int type, int protocol)
{
	int			(*real) (int, int, int) = (int (*) (int, int, int)) dlsym(RTLD_NEXT, "socket");

	if ((domain == AF_INET || domain == AF_INET6) && flag("no-sockets"))
		return errno = EMFILE, -1;
	return real(domain, type, protocol);
}

typedef int (*thread_fn) (pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);

int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine) (void *), void *arg)
{
	thread_fn	real = (thread_fn) dlsym(RTLD_NEXT, "pthread_create");

	return flag("no-threads") ? EAGAIN : real(thread, attr, routine, arg);
}

/* For what is kept for a while: names that libcurl has resolved. */
time_t
time(time_t *result)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (flag("an-hour-later"))
		now.tv_sec += 3600;
	if (result != NULL)
		*result = now.tv_sec;
	return now.tv_sec;
}

typedef int (*resolve_fn) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	resolve_fn	real = (resolve_fn) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *end = name ? strstr(name, ".hangs.test") : NULL;
	struct addrinfo own = {0};

	if (hints != NULL)
		own = *hints;
	if (end == NULL && (name == NULL || strcmp(name, "loop.test") != 0))
		return real(name, service, hints, result);
	if (end != NULL)
	{
		/* as the resolver of the C library, which has a socket open meanwhile */
		int			fd = dup(2);

		while (flag("hang"))
			usleep(20000);
		close(fd);
	}
	own.ai_family = AF_INET;
	return real(flag("moved") ? "10.255.255.1" : "127.0.0.1", service, &own, result);
}
C
plan skip_all => "no compiler ($compiler)"
  if system("$compiler -shared -fPIC -o $dir/lacks.so $dir/lacks.c -ldl -lpthread >$dir/cc.log 2>&1") != 0;
chmod 0755, $dir;

my $accounting = start_accounting();
my $port = $accounting->port;
my $node = new_saga_node('hang', { start => 0 }, 'pg_saga.publishers = 1', 'pg_saga.workers = 1');
start_node();
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach qw(mallory app);

sub start_node
{
	local $ENV{SAGA_TEST_FLAGS} = $dir;
	local $ENV{LD_PRELOAD} = join(' ', $ENV{LD_PRELOAD} // (), "$dir/lacks.so");
	$node->start;
	return;
}

sub as { return sql("SET SESSION AUTHORIZATION $_[0]; $_[1]") }
sub raise_flag { append_to_file("$dir/$_[0]", ''); return }
sub lower_flag { unlink "$dir/$_[0]"; return }

sub destination
{
	my ($owner, $name, %settings) = @_;
	my $text = $json->encode({ base_ms => 20, cap_ms => 200, max_attempts => 2, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$text'); SELECT saga.set_destination_owner('$name', '$owner')");
	return;
}

sub publish
{
	my ($owner, $to, $n) = @_;
	as($owner, "SELECT count(saga.publish_to('$to', jsonb_build_object('number', '$to-' || i || '-' || gen_random_uuid(), 'currency', 'EUR',
		'seller', 'S', 'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb)))
		FROM generate_series(1, $n) i");
	return;
}

sub states
{
	return "SELECT coalesce(string_agg(DISTINCT concat_ws(' ', state, attempts), ', '), 'none') FROM saga.outbox
		JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'";
}

sub publisher { return sql("SELECT pid FROM saga.workers WHERE type = 'publisher' AND pid IS NOT NULL LIMIT 1") }
sub entries { my @entries = glob("/proc/$_[0]/$_[1]/*"); return scalar @entries }

# ---------- many names that hang, asked for again and again ----------

my @hang = (url => undef, timeout_ms => 1, connect_timeout_ms => 1, base_ms => 1, cap_ms => 1, max_attempts => 3000,
	idempotency => { ttl_s => 86400 });
raise_flag('hang');
foreach my $n (1 .. 40)
{
	destination('mallory', "hang$n", @hang, url => "http://h$n.hangs.test/");
	publish('mallory', "hang$n", 1);
}
# the last of them have their turn
ok(poll_until($node, q{SELECT count(*) >= 100 FROM saga.outbox_attempt JOIN saga.destination d USING (destination_id) WHERE d.name ~ '^hang'}),
	'requests to such names end in time');
my $pid = publisher();
my ($threads, $descriptors) = (0, 0);
destination('app', 'healthy', url => "http://127.0.0.1:$port/v1/invoices", allow_private => ['127.0.0.0/8']);
destination('app', 'named', url => "http://loop.test:$port/v1/invoices", allow_private => ['127.0.0.0/8']);
foreach my $round (1 .. 5)
{
	publish('app', $_, 4) foreach qw(healthy named);
	ok(poll_until($node, states($_), 'delivered 1'), "$_: another owner's messages arrive, at the first attempt, round $round")
	  foreach qw(healthy named);
	my ($t, $f) = (entries($pid, 'task'), entries($pid, 'fd'));
	$threads = $t if $t > $threads;
	$descriptors = $f if $f > $descriptors;
}
cmp_ok($threads, '<=', 20, 'threads of the publisher are bounded');
cmp_ok($descriptors, '<=', 200, 'and its descriptors');
is(publisher(), $pid, 'it is the same publisher');
unlike(slurp_file($node->logfile), qr/Too many open files/, 'it had descriptors all the time');
ok(wait_for_log($node, qr/requests of the role with OID \d+ wait: too many host names are still being resolved/), 'the log tells of it');
is(sql(q{SELECT count(*) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name ~ '^hang' AND state <> 'waiting' AND attempts < 3000}), '0',
	'who had to wait for a resolver did not fail for that');

# ---------- CALL saga.publish(), again and again in one session ----------

sql(q{SELECT saga.pause_destination('mallory.' || name) FROM saga.destination WHERE name ~ '^hang'});
foreach my $n (1 .. 4)
{
	destination('app', "mine$n", @hang, url => "http://mine$n.hangs.test/");
	sql("SELECT saga.pause_destination('app.mine$n')");
	publish('app', "mine$n", 1);
}
lower_flag('hang');
$node->stop;
raise_flag('hang');
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
start_node();
sql(q{SELECT saga.resume_destination('app.' || name) FROM saga.destination WHERE name ~ '^mine'});
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query('SET SESSION AUTHORIZATION app');
my $backend = $session->query('SELECT pg_backend_pid()');
$session->query("CALL saga.publish(); SELECT pg_sleep(0.02)") foreach 1 .. 20;
cmp_ok(entries($backend, 'task'), '<=', 10, 'a session that publishes has few threads, however often');
cmp_ok(sql(q{SELECT sum(attempts) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name ~ '^mine'}), '>=', 10,
	'and it did try');
lower_flag('hang');
$session->quit;
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->stop;
start_node();

# ---------- sent on a kept connection that is lost ----------

# libcurl would send it once more on another connection, for which the name is resolved anew.
my @invoices = (method => 'POST', path => '/v1/invoices');
foreach my $kept (['kept'], ['moved', 'moved'])
{
	my ($name, @flags) = @$kept;
	$accounting->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [] });
	destination('app', $name, url => "http://loop.test:$port/v1/invoices?$name", allow_private => ['127.0.0.0/8'], idempotency => { in => 'none' });
	publish('app', $name, 1);
	ok(poll_until($node, states($name), 'delivered 1'), "$name: a connection is kept");
	$accounting->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [ { @invoices, action => 'drop_after' } ] });
	raise_flag($_) foreach 'an-hour-later', @flags;
	publish('app', $name, 1);
	ok(poll_until($node, states($name), 'delivered 1, failed 1'), "$name: and lost with the answer to the next request");
	is(join(' ', map { $_->{posted} } grep { $_->{number} =~ /^$name-/ } @{ $accounting->audit->{numbers} }), '1 1', "$name: which is not sent once more");
	is(sql("SELECT outcome FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = '$name' AND state = 'failed'"), 'in_doubt',
		"$name: and nobody says that it had no effect");
	lower_flag($_) foreach 'an-hour-later', @flags;
}
$accounting->faults({ modes => {}, rules => [] });

# ---------- no descriptors, no threads ----------

foreach my $lack (['no-sockets', "http://127.0.0.1:$port/v1/invoices"], ['no-threads', "http://LOOP.test:$port/v1/invoices"])
{
	my ($flag, $url) = @$lack;
	my $log = -s $node->logfile;
	raise_flag($flag);
	destination('app', $flag, url => $url, allow_private => ['127.0.0.0/8']);
	publish('app', $flag, 3);
	ok(poll_until($node, "SELECT count(*) > 0 FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id
		WHERE d.name = '$flag' AND lease IS NULL"), "$flag: messages go back into their queue");
	ok(wait_for_log($node, qr/requests wait, as this process cannot begin them/, $log), "$flag: which is logged") if $flag eq 'no-sockets';
	is(sql(states($flag)), 'waiting 0', "$flag: and no attempt is counted");
	is(sql("SELECT count(*) FROM saga.outbox_attempt JOIN saga.destination d USING (destination_id) WHERE d.name = '$flag'"), '0', "$flag: nor noted");
	lower_flag($flag);
	ok(poll_until($node, states($flag), 'delivered 1'), "$flag: they arrive when it is over");
}

$node->stop;
done_testing();
