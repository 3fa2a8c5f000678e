# Saga::Invoices: the whole road of invoices with services that fail, and the reckoning at its end.
#
#	my $road = Saga::Invoices->new(seed => $seed, conf => [...], http => {...}, sns => {...});
#	$road->faults(@rules);
#	$road->submit('A', 40);		# A-1 to A-40: the demo's valid invoices under numbers of their own
#	$road->wait_ended;
#	$road->reckon(120);
package Saga::Invoices;

use strict;
use warnings;

use Carp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

# The outbox's own setting for these is 30 s, half a second of delay and ten attempts.
my %quick = (allow_private => JSON::PP::true, timeout_ms => 500, base_ms => 20, cap_ms => 200, max_attempts => 25);

# From the environment; else always the same, so that a run fails for what was changed.
sub seed
{
	my $seed = $ENV{SAGA_SEED} // 1;
	diag("SAGA_SEED=$seed");
	return $seed;
}

sub new
{
	my ($class, %opt) = @_;
	my $self = bless { submitted => {} }, $class;

	$ENV{AWS_ACCESS_KEY_ID} = 'test';
	$ENV{AWS_SECRET_ACCESS_KEY} = 'test';
	# a service that refuses a number it knows would hide that it was asked twice
	$self->{accounting} = start_accounting(seed => $opt{seed} // 1);
	$self->faults();
	$self->{fauxqs} = start_fauxqs();
	$self->{sns} = Saga::Server->start('sns_proxy', args => [
		'--upstream', $self->{fauxqs}->url, '--key-id', 'test', '--secret', 'test' ]);
	$self->{topic} = $self->{fauxqs}->setup('invoice-events', 'invoice-reader');
	$self->{node} = new_saga_node($opt{name} // 'main', 'pg_saga.workers = 2', @{ $opt{conf} // [] });
	create_extensions($self->{node});
	$self->sql('CREATE ROLE invoice_owner LOGIN; SELECT invoice_setup(\'invoice_owner\')');
	$self->destination($_, 'http', { url => $self->{accounting}->url, %quick, %{ $opt{http} // {} } })
	  foreach 'payments', 'accounting';
	$self->destination('invoice-events', 'sns', { topic_arn => $self->{topic}{topic_arn},
			endpoint_url => $self->{sns}->url, %quick, timeout_ms => 2000, %{ $opt{sns} // {} } });
	$self->load_documents;
	return $self;
}

sub node { return $_[0]->{node} }
sub accounting { return $_[0]->{accounting} }
sub sns { return $_[0]->{sns} }
sub sql { return $_[0]->{node}->safe_psql('postgres', $_[1]) }

sub destination
{
	my ($self, $name, $kind, $settings) = @_;
	my $json = encode_json($settings);
	$self->sql("SELECT saga.create_destination('$name', '$kind', '$json');
		SELECT saga.set_destination_owner('$name', 'invoice_owner')");
	return;
}

sub faults
{
	my ($self, @rules) = @_;
	$self->{accounting}->faults({ modes => { duplicate => 'allow' }, rules => \@rules });
	return;
}

# Those of the demo's invoices that break no rule and ask for nobody.
sub load_documents
{
	my ($self) = @_;
	$self->sql(<<'SQL');
CREATE TABLE template (id int GENERATED ALWAYS AS IDENTITY, document jsonb);
CREATE FUNCTION document(prefix text, n int) RETURNS json LANGUAGE sql AS $$
	SELECT jsonb_set(document, '{number}', to_jsonb(prefix || '-' || n))::json
	FROM template WHERE id = 1 + n % (SELECT max(id) FROM template) $$;
SQL
	foreach my $file (sort glob 'demo/invoices/*.json')
	{
		my $document = slurp_file($file);
		$self->sql("INSERT INTO template (document) SELECT d FROM (SELECT \$d\$$document\$d\$::jsonb) x(d)
			WHERE NOT EXISTS (SELECT FROM invoice_validate(d::json))");
	}
	croak 'no documents' unless $self->sql('SELECT count(*) FROM template') >= 15;
	return;
}

# Each in a transaction of its own. Lines that a client has read are accepted; the rest it would ask
# for again, so a crash in between is no error here.
sub submit
{
	my ($self, $prefix, $n) = @_;
	my ($out, $err);

	$self->{node}->psql('postgres', "SELECT format('SELECT invoice_submit(document(%L, %s)), %L', '$prefix', g, '$prefix-' || g)
		FROM generate_series(1, $n) g \\gexec\n", stdout => \$out, stderr => \$err, on_error_stop => 0);
	my @ids = $out =~ /^([0-9a-f-]{36})\|/mg;
	while ($out =~ /^([0-9a-f-]{36})\|(.+)$/mg)
	{
		my ($id, $number) = ($1, $2);
		ok(0, "$number has two ids") if ($self->{submitted}{$number} // $id) ne $id;
		$self->{submitted}{$number} = $id;
	}
	return scalar @ids;
}

sub wait_ended
{
	my ($self) = @_;
	return poll_until($self->{node},
		q{SELECT count(*) FROM invoice_tracking WHERE status IN ('queued', 'processing', 'undoing', 'held')}, '0');
}

# What stands in the books for a number: settled and booked, undone ones taken off; and how many
# documents were ever made.
sub stands
{
	my ($self, $audit) = @_;
	my %stands;
	foreach my $n (@{ $audit->{numbers} })
	{
		$stands{ $n->{number} } = {
			settled => $n->{paid} - $n->{refunded} + $n->{credited} - $n->{reversed},
			booked => $n->{posted} - $n->{voided} + $n->{credit_notes} - $n->{credit_notes_voided},
			most => (sort { $b <=> $a } @$n{qw(posted credit_notes paid credited)})[0] };
	}
	return \%stands;
}

# Every submitted invoice is accounted for exactly once. Returns the audit.
sub reckon
{
	my ($self, $expected) = @_;
	my %submitted = %{ $self->{submitted} };
	my $audit = $self->{accounting}->audit;
	my $stands = $self->stands($audit);
	my %announced;
	my (%completed, %failed, @other, @wrong);

	# the ids
	foreach my $line (split /\n/, $self->sql('SELECT t.tracking_id, t.number, t.status, i.settlement FROM invoice_tracking t
		LEFT JOIN invoice i USING (tracking_id)'))
	{
		my ($id, $number, $status, $settlement) = split /\|/, $line;
		push @wrong, "$number is $id" unless ($submitted{$number} // '') eq $id;
		if ($status eq 'completed') { $completed{$number} = $settlement }
		elsif ($status eq 'failed') { $failed{$number} = $id }
		else { push @other, "$number is $status" }
	}
	is(scalar(keys %submitted), $expected, 'submitted');
	is(keys(%completed) + keys(%failed), $expected, 'succeeded and dead-lettered: ' . keys(%completed) . ' + ' . keys(%failed));
	is_deeply([ @wrong, @other ], [], 'each under its id, and nothing else');
	is($self->sql('SELECT string_agg(tracking_id::text, \' \' ORDER BY tracking_id) FROM invoice_dlq'),
		join(' ', sort values %failed), 'each that failed is in the dead letters once');
	# a refusal after a lost answer proves nothing: then it says so, and the books below are right all the same
	is($self->sql(<<'SQL'), '0', 'and compensated, but for what nobody can know');
SELECT count(*) FROM saga.all_dead_letters d, jsonb_array_elements(d.details -> 'not_compensated') e
WHERE d.reason = 'Saga.CompensationFailed' AND (e ->> 'outcome', e ->> 'reason') IS DISTINCT FROM ('unknown', 'Saga.Uncertain')
SQL

	# the books
	@wrong = ();
	foreach my $number (keys %completed)
	{
		my $s = $stands->{$number} // {};
		my $due = $completed{$number} eq 'none' ? 0 : 1;
		push @wrong, "$number: settled $s->{settled}, booked $s->{booked}"
		  unless $s->{settled} == $due && $s->{booked} == 1;
	}
	is_deeply(\@wrong, [], 'what succeeded is paid or credited once, and booked once');
	my %unknown = map { $_ => 1 } split /\n/, $self->sql('SELECT number FROM invoice_dlq WHERE NOT compensated');
	is_deeply([ grep { my $s = $stands->{$_}; $s && !$unknown{$_} && ($s->{settled} != 0 || $s->{booked} != 0) } keys %failed ],
		[], 'of what failed nothing stands in the books');
	is_deeply([ grep { $stands->{$_}{most} > 1 } keys %$stands ], [], 'nothing was booked or paid twice');
	is_deeply([ grep { $_->{effects} > 1 } @{ $audit->{keys} } ], [], 'no key took effect twice');
	is_deeply([ $self->number_of_keys($audit) ], [], 'one key for each thing asked for, at all attempts');
	$self->reckon_ledger($audit);

	# the announcements: at least once
	$announced{ JSON::PP->new->decode($_->{body})->{number} }++ foreach $self->{fauxqs}->receive($self->{topic}{queue_url});
	is_deeply([ sort keys %announced ], [ sort keys %completed ], 'what succeeded is announced, and nothing else');

	$self->nothing_left;
	return $audit;
}

# What was asked for under more than one key, or a key that was used for more than one thing.
sub number_of_keys
{
	my ($self, $audit) = @_;
	my (%keys, %things);

	foreach my $request (@{ $audit->{requests} })
	{
		my $thing = join ' ', $request->{path}, $request->{number} // '';
		$keys{$thing}{ $request->{key} // 'none' } = 1;
		$things{ $request->{key} // 'none' }{$thing} = 1;
	}
	return map { my %h = %$_; grep { keys %{ $h{$_} } > 1 } keys %h } \%keys, \%things;
}

sub reckon_ledger
{
	my ($self, $audit) = @_;
	my $ledger = encode_json($audit->{ledger});
	my $differences = $self->sql(<<"SQL");
WITH ours AS (
	SELECT currency, coalesce(sum(tax_inclusive) FILTER (WHERE type_code NOT IN ('381', '396', '261')), 0) AS invoices,
		coalesce(sum(tax_inclusive) FILTER (WHERE type_code IN ('381', '396', '261')), 0) AS credit_notes,
		coalesce(sum(abs(payable)) FILTER (WHERE settlement = 'payment'), 0) AS payments,
		coalesce(sum(abs(payable)) FILTER (WHERE settlement = 'credit'), 0) AS credits
	FROM invoice WHERE status = 'valid' GROUP BY currency),
theirs AS (
	SELECT key AS currency, (value->>'invoices')::numeric AS invoices, (value->>'credit_notes')::numeric AS credit_notes,
		(value->>'payments')::numeric AS payments, (value->>'credits')::numeric AS credits
	FROM jsonb_each('$ledger'))
SELECT * FROM ours FULL JOIN theirs USING (currency)
WHERE (coalesce(ours.invoices, 0), coalesce(ours.credit_notes, 0), coalesce(ours.payments, 0), coalesce(ours.credits, 0))
	IS DISTINCT FROM
	(coalesce(theirs.invoices, 0), coalesce(theirs.credit_notes, 0), coalesce(theirs.payments, 0), coalesce(theirs.credits, 0))
SQL
	is($differences, '', 'the totals of each currency are those of the database');
	return;
}

sub nothing_left
{
	my ($self) = @_;
	# a withdrawn message's row goes when the publisher comes to it
	ok(poll_until($self->{node}, "SELECT (SELECT count(*) FROM saga.message), (SELECT count(*) FROM saga.timer),
		(SELECT count(*) FROM saga.continuation), (SELECT count(*) FROM saga.outbox WHERE state = 'waiting')", '0|0|0|0'),
		'nothing is left in queues, timers, continuations and the outbox');
	return;
}

1;
