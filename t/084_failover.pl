# A standby that has not seen all takes over: what its primary had sent since, to a server that knows
# no keys and takes a number twice, is looked up and not sent again.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $true = JSON::PP::true;
my $books = start_accounting();
my $primary = new_saga_node('primary', { init => [ allows_streaming => 1 ] }, 'pg_saga.workers = 0');
$books->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [] });

my %settings = (url => $books->url('/v1/invoices'), allow_private => $true, base_ms => 10, idempotency => { in => 'none' });
my $asked = encode_json({ %settings, lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]' } });
my $blind = encode_json(\%settings);
my $wrong = $asked =~ s/\{seller\}/nobody/r;
my $document = q{jsonb_build_object('number', prefix || n, 'currency', 'EUR', 'seller', 'S', 'buyer', 'B', 'total', '1.19', 'tax', '0.19',
	'lines', '[{"amount": "1.00"}]'::jsonb)};
create_extensions($primary);
$primary->safe_psql('postgres', <<"SQL");
SELECT saga.create_destination('asked', 'http', '$asked');
SELECT saga.create_destination('blind', 'http', '$blind');
SELECT saga.create_destination('elsewhere', 'http', '$wrong');
CREATE FUNCTION document(prefix text, n int) RETURNS jsonb LANGUAGE sql AS \$\$ SELECT $document \$\$;
SELECT saga.create_workflow('book', '{"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke",
	"Parameters": {"ApiEndpoint": "saga:asked", "RequestBody.\$": "\$"}, "End": true}}}');
SQL
sub posted { return join(' ', map { "$_->{number}:$_->{posted}" } sort { $a->{number} cmp $b->{number} } @{ $books->audit->{numbers} }) }
sub expected { my ($times, @names) = @_; return join(' ', map { "$_:$times" } sort @names) }

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# what the standby knows: messages that wait, one that failed once, executions that have not begun
$primary->safe_psql('postgres', "SELECT saga.pause_destination(d) FROM unnest('{asked,blind,elsewhere}'::text[]) d");
$primary->safe_psql('postgres', q{
	SELECT saga.publish_to('asked', document('wait-', n)) FROM generate_series(1, 5) n;
	SELECT saga.publish_to('blind', document('blind-', 1));
	SELECT saga.publish_to('elsewhere', document('elsewhere-', 1));
	SELECT saga.start_execution('book', document('step-', n)) FROM generate_series(1, 5) n});
is($primary->safe_psql('postgres', 'SELECT count(*) FROM saga.outbox'), '7', 'seven wait in the outbox');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$standby->stop('fast');

# what it does not know: all is sent
$primary->safe_psql('postgres', "SELECT saga.resume_destination(d) FROM unnest('{asked,blind,elsewhere}'::text[]) d");
$primary->append_conf('postgresql.conf', 'pg_saga.workers = 1');
$primary->reload;
poll_until($primary, "SELECT count(*) FROM saga.outbox WHERE state = 'delivered'", '12');
my @looked_up = ((map { "wait-$_" } 1 .. 5), (map { "step-$_" } 1 .. 5));
is(posted(), expected(1, @looked_up, 'blind-1', 'elsewhere-1'), 'the primary has sent all');
is($primary->safe_psql('postgres', 'SELECT at FROM saga.takeover'), '-infinity', 'without a takeover nothing is doubted');
$primary->stop('immediate');

$standby->append_conf('postgresql.conf', "pg_saga.workers = 1\nprimary_conninfo = ''");
$standby->start;
is($standby->safe_psql('postgres', "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'"), '7', 'the standby has not seen it');
$standby->promote;
poll_until($standby, 'SELECT pg_is_in_recovery()', 'f');
$standby->safe_psql('postgres', "SELECT saga.resume_destination(d) FROM unnest('{asked,blind,elsewhere}'::text[]) d");
poll_until($standby, "SELECT count(*) FROM saga.outbox WHERE state <> 'waiting'", '12');
is($standby->safe_psql('postgres', "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'"), '0', 'the executions have ended');
my $now = posted();
is(join(' ', grep { /^(wait|step)/ } split / /, $now), expected(1, @looked_up), 'what can be looked up was, and is there once');
is($standby->safe_psql('postgres', "SELECT count(*) FROM saga.outbox WHERE state = 'delivered' AND sends = 0 AND doubted"), '10',
	'by nothing but a look-up');
like($now, qr/\bblind-1:2\b/, 'a destination without key and look-up gets its message again');
like($now, qr/\belsewhere-1:2\b/, 'and one whose look-up finds nothing');
is($standby->safe_psql('postgres', "SELECT attempts || ' ' || sends FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE name = 'elsewhere'"),
	'2 1', 'after one look-up');

# what comes after the takeover is sent at once
$standby->safe_psql('postgres', q{UPDATE saga.takeover SET at = at - interval '1 hour'});
$standby->restart;
my $before = @{ $books->audit->{requests} };
$standby->safe_psql('postgres', q{SELECT saga.publish_to('asked', document('new-', 1))});
poll_until($standby, "SELECT count(*) FROM saga.outbox WHERE state = 'delivered'", '13');
is(@{ $books->audit->{requests} } - $before, 1, 'a later message is sent without a look-up');

$standby->stop;
done_testing();
