# The worked configurations of demo/destinations, each against the local server in that vendor's shape:
# an invoice is booked, every answer on the way is lost once, its number is there already, and it is undone.
# Then docs/outbox.md: what it shows is done.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical->ascii;
my ($secret, $password) = ('Vv8-no-one-may-read-this', 'Vp8-nor-this');
my $server = start_accounting(args => [ '--client', "client:$secret", '--client', "outbox:$password", '--client', 'shop:s3cret' ]);
my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node);

# lost: requests that make the booking; undo: those that take it back; twice: what becomes of a number
# that is there already.
my @vendors = (
	{ name => 'rest', hosts => { 'https://accounting.example.com' => '' },
		secrets => { rest_client_id => 'client', rest_client_secret => $secret },
		lost => [ [ POST => '/v1/invoices' ] ], undo => [ [ POST => '/void$/' ] ], twice => 'States.Http.StatusCode.409' },
	{ name => 'xero', hosts => { 'https://api.xero.com' => '/xero', 'https://identity.xero.com' => '/xero' },
		secrets => { xero_client_id => 'client', xero_client_secret => $secret, xero_tenant_id => 'tenant' },
		lost => [ [ PUT => '/xero/api.xro/2.0/Invoices' ] ], undo => [ [ POST => '/Invoices.[^/]+$/' ] ], twice => 'States.Http.StatusCode.400' },
	{ name => 'quickbooks', hosts => { 'https://quickbooks.api.intuit.com' => '/quickbooks', 'https://oauth.platform.intuit.com' => '/quickbooks' },
		secrets => { quickbooks_client_id => 'client', quickbooks_client_secret => $secret, quickbooks_refresh_token => sub { $server->consent } },
		lost => [ [ POST => '/quickbooks/v3/company/1234567890/invoice' ] ], undo => [ [ POST => '/operation=void/' ] ], twice => 'States.Http.StatusCode.400' },
	{ name => 'stripe', hosts => { 'https://api.stripe.com' => '/stripe' }, secrets => { stripe_key => "sk_test_$secret" },
		lost => [ [ POST => '/stripe/v1/invoices' ], [ POST => '/add_lines$/' ], [ POST => '/finalize$/' ] ], undo => [ [ POST => '/void$/' ] ], twice => undef },
	{ name => 'odoo', hosts => { 'https://mycompany.odoo.com' => '/odoo' }, secrets => { odoo_key => $secret },
		lost => [ [ POST => '/move.create$/' ], [ POST => '/action_post$/' ] ], undo => [ [ POST => '/button_cancel$/' ] ],
		twice => 'States.Http.StatusCode.422' },
	{ name => 'tryton', hosts => { 'https://tryton.example.com' => '/tryton' }, secrets => { tryton_password => $password },
		lost => [ [ POST => '/invoice.create$/' ], [ POST => '/invoice.post$/' ] ], undo => [ [ POST => '/invoice.cancel$/' ] ], twice => 'States.Http.StatusCode.500' });

sub create_destinations
{
	my ($vendor) = @_;
	my $text = slurp_file("demo/destinations/$vendor->{name}.json");
	my @names;

	foreach my $name (sort keys %{ $vendor->{secrets} })
	{
		my $value = $vendor->{secrets}{$name};
		$value = $value->() if ref $value;
		sql("SELECT saga.set_secret('$name', '$value')");
	}
	# as it is: it must be accepted, and is dropped again
	my $plain = join('', map { 'SELECT saga.create_destination(' . join(', ', "'$_->{name}'", "'$_->{kind}'", '$s$' . $json->encode($_->{settings}) . '$s$') . ");\n" } @{ $json->decode($text) });
	sql("BEGIN; $plain ROLLBACK");
	pass("$vendor->{name}: the file is accepted as it is");
	foreach my $host (keys %{ $vendor->{hosts} })
	{
		my $local = $server->url($vendor->{hosts}{$host});
		$text =~ s/\Q$host\E/$local/g;
	}
	foreach my $destination (@{ $json->decode($text) })
	{
		my $settings = $destination->{settings};
		$settings->{allow_private} = ['127.0.0.0/8'];
		$settings->{retry} = { max_attempts => 10, base_ms => 50, cap_ms => 200 };
		$settings->{lookup}{delay_ms} = 50 if $settings->{lookup};
		my $given = $json->encode($settings);
		sql("SELECT saga.create_destination('$destination->{name}', '$destination->{kind}', \$s\$$given\$s\$)");
		push @names, $destination->{name};
	}
	return @names;
}

# One step for each destination; what the first one captured is a part of the message from then on.
sub create_workflow
{
	my ($vendor, @names) = @_;
	my $http = 'arn:aws:states:::http:invoke';
	my %states = (End => { Type => 'Task', Resource => 'sql:public.finish', End => JSON::PP::true });
	my $first = $names[0];

	foreach my $i (0 .. $#names)
	{
		my $name = $names[$i];
		my ($undo, $captured) = split /\|/, sql("SELECT settings ? 'compensate', settings ? 'capture' FROM saga.destination WHERE name = '$name'");
		$states{$name} = { Type => 'Task', Resource => $http, ResultPath => "\$.$name", Next => $names[ $i + 1 ] // 'End',
			Parameters => { ApiEndpoint => "saga:$name", 'RequestBody.$' => $i == 0 ? '$.invoice' : "States.JsonMerge(\$.invoice, \$.$first.Captured, false)" } };
		next if $undo ne 't';
		$states{$name}{Compensate} = "Undo $name";
		$states{"Undo $name"} = { Type => 'Task', Resource => $http,
			Parameters => { ApiEndpoint => "saga:$name", Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody',
				$captured eq 't' ? ('Captured.$' => '$.output.Captured') : () } };
	}
	my $definition = $json->encode({ StartAt => $first, States => \%states });
	sql("SELECT saga.create_workflow('$vendor->{name}', \$d\$$definition\$d\$)");
	return;
}

sub start
{
	my ($vendor, @numbers) = @_;
	foreach my $number (@numbers)
	{
		my $input = $json->encode({ invoice => { number => $number, issue_date => '2026-03-31', due_date => '2026-04-30', currency => 'EUR', seller => 'S', customer => '7',
			total => '178.50', tax => '28.50', lines => [ { name => 'Oak table', net => '100.00', tax => '19.00' }, { name => "Chair & \x{2018}co\x{2019}", net => '50.00', tax => '9.50' } ] } });
		sql("SELECT saga.start_execution('$vendor->{name}', \$i\$$input\$i\$)");
	}
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE status IN ('RUNNING', 'COMPENSATING')", '0');
	return;
}

sub ended
{
	my ($number) = @_;
	return sql("SELECT string_agg(concat_ws(' ', status, error), ', ' ORDER BY started_at) FROM saga.executions WHERE input->'invoice'->>'number' = '$number'");
}

# posted, undone, drafts
sub books
{
	my ($number) = @_;
	my ($row) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $row ? join(' ', @$row{qw(posted voided drafts)}) : 'none';
}

sub lose { my ($number, @requests) = @_; return map { { number => "^$number\$", method => $_->[0], path => $_->[1], attempt => 1, action => 'drop_after' } } @requests }

sql(<<'SQL');
CREATE FUNCTION finish(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF input->'invoice'->>'number' ~ '^Z' THEN
		PERFORM saga.fail('NotWanted', 'a step after the booking failed');
	END IF;
	RETURN '{}';
END $$;
SQL

my $manual = slurp_file('docs/outbox.md');
foreach my $vendor (@vendors)
{
	my $name = $vendor->{name};
	$server->reset;
	$server->faults([ lose('L-1', @{ $vendor->{lost} }), lose('ZL-1', @{ $vendor->{undo} }) ]);
	create_workflow($vendor, create_destinations($vendor));
	ok(index($manual, slurp_file("demo/destinations/$name.json")) >= 0, "$name: the manual shows the file");
	start($vendor, qw(A-1 L-1 Z-1 ZL-1));
	is(ended('A-1'), 'SUCCEEDED', "$name: booked") or diag(sql("SELECT last_error FROM saga.outbox WHERE last_error IS NOT NULL"));
	is(books('A-1'), '1 0 0', "$name:   once");
	is(ended('L-1'), 'SUCCEEDED', "$name: booked, though every answer was lost once");
	is(books('L-1'), '1 0 0', "$name:   once");
	cmp_ok($server->audit->{ledger}{EUR}{net}, '==', 357, "$name:   with the right total");
	is(ended('Z-1'), 'FAILED NotWanted', "$name: undone");
	is(books('Z-1'), '1 1 0', "$name:   once");
	is(ended('ZL-1'), 'FAILED NotWanted', "$name: undone, though the answer to that was lost");
	is(books('ZL-1'), '1 1 0', "$name:   once");
	my $lost = grep { !defined $_->{status} } @{ $server->audit->{requests} };
	is($lost, @{ $vendor->{lost} } + @{ $vendor->{undo} }, "$name:   as many answers as should be were lost");

	start($vendor, 'A-1');
	my $again = $vendor->{twice} ? "SUCCEEDED, FAILED $vendor->{twice}" : 'SUCCEEDED, SUCCEEDED';
	is(ended('A-1'), $again, "$name: the same number again");
	cmp_ok($server->audit->{ledger}{EUR}{net}, '==', $vendor->{twice} ? 357 : 535.5, $vendor->{twice} ? "$name:   is not booked again" : "$name:   is booked again, as nothing refuses it");
	like(books('A-1'), qr/ 0$/, "$name:   and leaves no draft");

	# that it is there already is the answer that is lost
	my $net = $server->audit->{ledger}{EUR}{net};
	$server->faults([ { number => '^A-1$', method => $vendor->{lost}[0][0], path => $vendor->{lost}[0][1], times => 1, action => 'drop_after' } ]);
	start($vendor, 'A-1');
	cmp_ok($server->audit->{ledger}{EUR}{net}, '==', $vendor->{twice} ? $net : $net + 178.5, "$name: the same once more, its answer lost, changes nothing of what is there");
	like(books('A-1'), qr/ 0$/, "$name:   and leaves no draft");
	# of what is there already, and is another one's, nobody can know whether it was done twice; Odoo's drafts are not
	# refused, and nobody else's
	is(sql("SELECT string_agg(concat_ws(' ', body->'invoice'->>'number', reason), ', ') FROM saga.dead_letters WHERE queue = '$name' AND reason LIKE 'Saga.%'"),
		$vendor->{twice} && $name ne 'odoo' ? 'A-1 Saga.CompensationFailed' : '', "$name: nothing else is left for a person")
		or diag(sql("SELECT concat_ws(E'\n', reason, cause, details, body) FROM saga.dead_letters d WHERE reason LIKE 'Saga.%'"));
	sql('DELETE FROM saga.execution');
}

# Xero calls a voided invoice and a paid one by the same message: neither may pass as undone
$server->reset;
my $body = { ErrorNumber => 10, Type => 'ValidationException', Elements => [ { Status => 'VOIDED', ValidationErrors => [ { Message => 'Invoice not of valid status for modification' } ] } ] };
$server->faults([ { number => '^ZP-1$', method => 'POST', path => '/Invoices.[^/]+$/', action => 'status', status => 400, body => $body } ]);
start({ name => 'xero' }, 'ZP-1');
is(sql("SELECT concat_ws(' ', reason, details#>>'{not_compensated,0,reason}') FROM saga.dead_letters WHERE queue = 'xero' AND body->'invoice'->>'number' = 'ZP-1'"),
	'Saga.CompensationFailed States.Http.StatusCode.400', 'xero: what could not be voided is left for a person');

# Stripe finds by search only what is older than a minute or so: the key has to do until then
$server->reset;
$server->faults({ modes => { search_lag_ms => 60000 }, rules => [ lose('G-1', [ POST => '/stripe/v1/invoices' ]) ] });
start({ name => 'stripe' }, 'G-1');
is(ended('G-1') . ' ' . books('G-1'), 'SUCCEEDED 1 0 0', 'stripe: a look-up that comes too early does no harm');

# Stripe gives the same 500 for as long as it knows the key
$server->faults([ map { { number => '^K-1$', method => 'POST', path => $_, nth => 1, action => 'status', status => 500 } } '/stripe/v1/invoices', '/add_lines$/', '/finalize$/' ]);
start({ name => 'stripe' }, 'K-1');
is(ended('K-1') . ' ' . books('K-1'), 'SUCCEEDED 1 0 0', 'stripe: a failure that is stored under the key is got over');
ok((grep { ($_->{number} // '') eq 'K-1' && $_->{replay} && $_->{status} == 500 } @{ $server->audit->{requests} }) > 0, 'stripe:   it was stored');

# a draft cannot be voided: it is deleted
$server->faults([ { number => '^D-1$', method => 'POST', path => '/finalize$/', action => 'status', status => 402 } ]);
start({ name => 'stripe' }, 'D-1');
is(ended('D-1'), 'FAILED States.Http.StatusCode.402', 'stripe: refused when it is finalized');
my ($deleted) = grep { $_->{method} eq 'DELETE' } @{ $server->audit->{requests} };
is(join(' ', @{ $deleted // {} }{qw(number status)}), 'D-1 200', 'stripe:   the draft is deleted');

# The manual, step by step
$server->reset;
my ($section) = $manual =~ /^## A REST service, step by step\n(.*?)(?=^## )/ms;
my @blocks = $section =~ /^```(sql|sh)\n(.*?)^```$/gms;
while (my ($language, $text) = splice @blocks, 0, 2)
{
	my $here = $server->url;
	$server->faults($json->decode($1)) if $text =~ /^curl -d '(.*)' .*_faults$/;
	next if $language ne 'sql';
	$text =~ s/\Qhttp:\/\/127.0.0.1:8090\E/$here/g;
	sql($text);
	poll_until($node, "SELECT (SELECT count(*) FROM saga.executions WHERE status IN ('RUNNING', 'COMPENSATING')) + (SELECT sum(waiting + sending + retrying) FROM saga.outbox_status)", '0');
}
is(sql("SELECT string_agg(concat_ws(' ', input #>> '{invoice,number}', status, error), ', ' ORDER BY started_at) FROM saga.executions WHERE workflow = 'sale'"),
	'2001 SUCCEEDED, 2002 FAILED NoAddress, 2003 SUCCEEDED', 'the manual: the workflows end as it says');
is(join(', ', map { books($_) } qw(1001 2001 2002 2003)), '1 0 0, 1 0 0, 1 1 0, 1 0 0', 'the manual:   and the books are right');
is(sql("SELECT reason FROM saga.dead_letters WHERE queue = 'destination/books'"), 'States.Http.StatusCode.409', 'the manual: the second of a number is a dead letter');
is(sql("SELECT attempts || ' ' || sends FROM saga.outbox WHERE request #>> '{Body,number}' = '2003'"), '2 1', 'the manual: a lost answer is looked up');
foreach my $title (qw(Stripe Odoo))
{
	my ($section) = $manual =~ /^### $title\n(.*?)(?=^##)/ms;
	my ($workflow) = $section =~ /^```sql\n(.*?)^```$/ms;
	sql($workflow);
	start({ name => lc $title }, 'M-1');
	is(ended('M-1') . ' ' . books('M-1'), 'SUCCEEDED 1 0 0', "the manual: the workflow for $title books");
	sql('DELETE FROM saga.execution');
	$server->reset;
}

my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
unlike(slurp_file($dump), qr/\Q$secret\E|\Q$password\E|s3cret|(tok|ref)_[0-9a-f]{20}/, 'no secret in a dump');
$node->stop;
done_testing();
