# Saga::Faults: seeded runs of invoices through a workflow that books them with an accounting server
# that fails, lies and forgets, and the reckoning from the server's audit at the end of each.
#
#	my $runs = Saga::Faults->new;
#	# 50 invoices for each seed, six seeds side by side
#	$runs->run(50, 6, sub { my ($plan, $wrong) = @_; is(join("\n", @$wrong), '', "seed $plan->{seed}") }, 1 .. 200);
#
# A seed decides everything but the order in which things happen: which faults, how likely, which
# limits, whether there are idempotency keys, and what is killed in mid-run.
package Saga::Faults;

use strict;
use warnings;

use Carp;
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);
use Saga::Test;

my $json = JSON::PP->new->canonical;
my $true = JSON::PP::true;

# A run that has not ended by then will not.
my $TIME_LIMIT = 180;

# What two hundred seeds cannot pass without.
my @must_meet = (
	(map { "kind $_" } qw(faults no_keys limits tokens forgotten down)),
	(map { "kill $_" } qw(publisher server accounting)),
	'429 retry_after', '429 retry_after date', 'status 503 retry_after', 'status 422', 'status 500', 'status 504', 'limited',
	qw(lost drop_before drop_after half_response garbage_json delay down_until expire_tokens refreshed forget_keys),
	'drop_after, no_keys', 'drop_after, forgotten');

# ---------- what a seed decides ----------

# What is killed in mid-run, in a few of the runs. 25 has no divisor in common with the number of
# kinds: each kind meets each kill.
sub kill_of
{
	my ($seed) = @_;
	return { 7 => 'publisher', 13 => 'server', 17 => 'accounting' }->{ $seed % 25 };
}

sub runs_alone { return (kill_of($_[0]) // 'accounting') ne 'accounting' }

sub chance { return rand() < $_[0] }
sub between { my ($from, $to) = @_; return $from + int(rand($to - $from + 1)) }

sub some_of
{
	my ($share, @rules) = @_;
	return map { { %$_, probability => between(2, 9) / 100 } } grep { chance($share) } @rules;
}

# Some of the ways to spoil an answer. Where only the look-up prevents a second document, the server
# must have ended with a request before it is looked up, so nothing is late there.
sub spoilt_answers
{
	my ($late, $lookup) = @_;
	# what was done is not sent again for its answer: without a look-up only those are garbled that nobody reads
	my @rules = map { { %$_, path => $_->{action} eq 'garbage_json' && !$lookup ? '/void$/' : '/^.v1./' } } some_of(0.4,
		{ action => 'status', status => 500 },
		{ action => 'status', status => 500, effect => $true },
		{ action => 'status', status => 502 },
		{ action => 'status', status => 504, effect => $true },
		{ action => 'status', status => 503, retry_after => 1, times => 3 },
		{ action => 'status', status => 503 },
		{ action => '429', retry_after => 1, times => 3 },
		{ action => '429', retry_after => 1, date => $true, times => 3 },
		{ action => '429', retry_after => 0 },
		{ action => 'drop_before' },
		{ action => 'drop_before', reset => $true },
		{ action => 'drop_after' },
		{ action => 'drop_after', reset => $true },
		{ action => 'half_response' },
		{ action => 'garbage_json' },
		{ action => 'slow_drip', ms => 10, bytes => 20 },
		{ action => 'delay', ms => between(10, 200), at => 'before' },
		{ action => 'delay', ms => between(10, 1200), at => 'after' },
		$late ? { action => 'delay', ms => between(600, 1200), at => 'before' } : ());

	# each costs all requests a second at least, twice as long when the next one fails too
	push @rules, map { { %$_, path => '/oauth/token' } } some_of(0.25,
		{ action => 'status', status => 500 },
		{ action => '429', retry_after => 1 },
		{ action => 'drop_before' },
		{ action => 'drop_after' },
		{ action => 'half_response' },
		{ action => 'garbage_json' },
		{ action => 'delay', ms => between(10, 800) });
	return @rules;
}

# The plan of a seed: modes and rules for the server, and what the destination is told.
sub plan
{
	my ($seed, $n) = @_;
	srand($seed);
	my $kind = (qw(faults no_keys limits tokens forgotten down))[ $seed % 6 ];
	my %plan = (seed => $seed, kind => $kind, kill => kill_of($seed),
		key => $kind ne 'no_keys', lookup => $kind eq 'no_keys' || $kind eq 'forgotten', auth => 'none', limits => {});
	my %modes = (duplicate => 'allow');
	my @rules;

	# a tenth is refused for good, a fifth is booked and fails after that
	$plan{X} = between(1, int($n / 10) + 1);
	$plan{Z} = between(1, int($n / 5) + 1);
	$plan{A} = $n - $plan{X} - $plan{Z};
	push @rules, { method => 'POST', path => '/v1/invoices', number => '^X', action => 'status', status => 422 } if chance(0.5);
	if ($kind eq 'no_keys')
	{
		$modes{idempotency} = 'none';
		push @rules, { method => 'POST', path => '/v1/invoices', action => 'drop_after', probability => between(10, 30) / 100 };
	}
	elsif ($kind eq 'forgotten')
	{
		# a number that is known is refused in one way or the other, and the look-up tells what that
		# means; or it is booked again, and nothing but the look-up stands before that
		$modes{duplicate} = (qw(409 400 allow))[ between(0, 2) ];
		push @rules, { method => 'POST', path => '/v1/invoices', number => '^[AZ]', attempt => [ 2 .. 9 ], action => 'forget_keys' },
		  { method => 'GET', path => '/v1/invoices', action => 'forget_keys', probability => 0.5 },
		  { method => 'POST', path => '/v1/invoices', action => 'drop_after', probability => between(10, 30) / 100 };
	}
	if ($kind eq 'limits' || chance(0.15))
	{
		my $n = between(15, 40);
		# either the destination knows the limit, or it is told by 429
		if (chance(0.6)) { $plan{limits} = { per_second => $n, concurrency => between(2, 8) } }
		else { $modes{limits} = chance(0.5) ? { per_second => $n } : { concurrency => between(3, 6) } }
	}
	if ($kind eq 'tokens' || chance(0.15))
	{
		$plan{auth} = chance(0.5) ? 'oauth2_client_credentials' : 'oauth2_refresh_token';
		# without the grace one lost answer would lock the client out for good
		@modes{qw(auth token_ttl_s refresh_grace_s)} = ('required', between(1, 3), 60);
		push @rules, { path => '/^.v1./', action => 'expire_tokens', nth => [ map { between(1, 2 * $n) } 1 .. 4 ] };
	}
	if ($kind eq 'down' || chance(0.15))
	{
		push @rules, { path => '/^.v1./', action => 'down_until', nth => [ map { between(1, $n) } 1 .. 2 ], for_ms => between(100, 900) };
	}
	# so that something is in flight, done and not answered, whenever a publisher is killed
	push @rules, { method => 'POST', path => '/v1/invoices', action => 'delay', ms => between(100, 300), at => 'after', probability => 0.6 }
	  if $plan{kill};
	$plan{only_lookup} = $plan{lookup} && (!$plan{key} || $modes{duplicate} eq 'allow');
	push @rules, spoilt_answers(!$plan{only_lookup}, $plan{lookup});
	return { %plan, modes => \%modes, rules => \@rules };
}

# ---------- the cluster, and a server for each lane ----------

sub new
{
	my ($class, %opt) = @_;
	my $self = bless { lanes => [], serial => 0, met => {} }, $class;

	$self->{secret} = 'Wq3-no-one-may-read-this';
	$self->{dir} = File::Temp->newdir('saga-secret-XXXXXX', TMPDIR => 1);
	append_to_file("$self->{dir}/secret", "$self->{secret}\n");
	$self->{node} = new_saga_node($opt{name} // 'main', 'pg_saga.workers = 2', 'pg_saga.publishers = 2',
		'restart_after_crash = on', 'pg_saga.crash_limit = 1000', 'pg_saga.max_queues = 4096');
	create_extensions($self->{node});
	$self->sql(<<'SQL');
CREATE TABLE booked (workflow text, number text, currency text, total numeric, PRIMARY KEY (workflow, number));
-- Fails after the booking for numbers with Z.
CREATE FUNCTION note(input jsonb, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO booked VALUES (input->>'run', input->'invoice'->>'number', input->'invoice'->>'currency',
		(input->'invoice'->>'total')::numeric);
	IF input->'invoice'->>'number' LIKE 'Z%' THEN
		PERFORM saga.fail('NotWanted', 'a step after the booking failed');
	END IF;
	RETURN input;
END $$;
-- The n-th invoice of a group. X has a wrong total.
CREATE FUNCTION document(prefix text, n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('number', prefix || '-' || n, 'currency', (ARRAY['EUR', 'USD', 'JPY'])[1 + n % 3],
		'seller', 'DE1', 'buyer', 'B', 'tax', round(net * 0.19, 2)::text,
		'total', (net + round(net * 0.19, 2) + CASE prefix WHEN 'X' THEN 1 ELSE 0 END)::text,
		'lines', jsonb_build_array(jsonb_build_object('amount', (net - 1)::text), jsonb_build_object('amount', '1.00')))
	FROM (SELECT 100 + n * 7.31) x(net) $$;
SQL
	return $self;
}

sub node { return $_[0]->{node} }
sub sql { return $_[0]->{node}->safe_psql('postgres', $_[1]) }

# An accounting server that is as if it was started with this seed.
sub server
{
	my ($self, $lane, $seed) = @_;
	my $server = $self->{lanes}[$lane] //= start_accounting(args => [ '--client', "client:$self->{secret}" ]);
	$server->reset($seed);
	return $server;
}

# What the destination of a plan is told.
sub settings
{
	my ($self, $plan, $server, $name) = @_;
	my %settings = (
		url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 500, base_ms => 20, cap_ms => 300,
		max_attempts => 1000, headers => { 'X-Api-Key' => "{secret:file:$self->{dir}/secret}" }, limits => { breaker => { open_s => 1 }, %{ $plan->{limits} } },
		classify => [ { status => [400], body => { path => 'error', equals => 'duplicate_number' }, as => 'duplicate' } ],
		capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' });
	# voiding it twice is voiding it once
	@settings{qw(idempotency compensate)} = ({ in => 'none' }, { %{ $settings{compensate} }, uncertain_as => 'retry' }) unless $plan->{key};
	# nothing but the look-up prevents a second one: the server must be through with the first by then
	$settings{lookup} = { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', timeout_ms => 2000,
		same => { path => 'invoices[0].total', equals => '{total}' }, capture => { remote_id => 'invoices[0].id' },
		delay_ms => $plan->{only_lookup} ? 400 : 0 } if $plan->{lookup};
	$settings{auth} = { type => $plan->{auth}, token_url => $server->url('/oauth/token'), client_id => 'client',
		client_secret => "{secret:file:$self->{dir}/secret}" } if $plan->{auth} ne 'none';
	$settings{auth}{refresh_token} = "$name-refresh" if $plan->{auth} eq 'oauth2_refresh_token';
	return \%settings;
}

sub definition
{
	my ($self, $name) = @_;
	my $http = 'arn:aws:states:::http:invoke';
	return {
		StartAt => 'Book',
		States => {
			Book => { Type => 'Task', Resource => $http,
				Parameters => { ApiEndpoint => "saga:$name", Method => 'POST', 'RequestBody.$' => '$.invoice' },
				ResultSelector => { 'id.$' => '$.ResponseBody.id' }, ResultPath => '$.booked',
				Compensate => 'Void', Next => 'Note' },
			Void => { Type => 'Task', Resource => $http,
				Parameters => { ApiEndpoint => "saga:$name", Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody',
					'Captured.$' => '$.output.Captured' } },
			Note => { Type => 'Task', Resource => 'sql:public.note', End => $true } } };
}

# ---------- a run ----------

# Runs these seeds, so many side by side; alone those that kill what all have in common. For each
# that ends, $report is called with its plan, the list of what was wrong, and the seconds that it took.
sub run
{
	my ($self, $n, $lanes, $report, @seeds) = @_;
	my @left = ((grep { !runs_alone($_) } @seeds), (grep { runs_alone($_) } @seeds));
	my @runs;

	while (@left || grep { defined } @runs)
	{
		foreach my $lane (0 .. $lanes - 1)
		{
			last if !@left || (runs_alone($left[0]) && grep { defined } @runs);
			next if $runs[$lane];
			$runs[$lane] = $self->begin($lane, shift @left, $n);
			$self->disturb($runs[$lane]) if $runs[$lane]{plan}{kill};
		}
		usleep(50_000);
		my $ended = $self->ended(grep { defined } @runs);
		foreach my $run (grep { defined } @runs)
		{
			my $done = $ended->{ $run->{name} } // 0;
			next if $done < $n && time < $run->{started} + $TIME_LIMIT;
			my $took = time - $run->{started};
			my @wrong = $self->reckon($run);
			$self->tidy($run) unless @wrong;
			$report->($run->{plan}, \@wrong, $took);
			$run = undef;
		}
	}
	return;
}

sub begin
{
	my ($self, $lane, $seed, $n) = @_;
	my $plan = plan($seed, $n);
	my $server = $self->server($lane, $seed);
	my $name = sprintf('run%d', ++$self->{serial});
	my $settings = $json->encode($self->settings($plan, $server, $name));
	my $definition = $json->encode($self->definition($name));

	$self->sql("SELECT saga.set_secret('$name-refresh', '@{[ $server->consent ]}')") if $plan->{auth} eq 'oauth2_refresh_token';
	$server->faults({ modes => $plan->{modes}, rules => $plan->{rules} });
	$self->sql(<<"SQL");
SELECT saga.create_destination('$name', 'http', \$s\$$settings\$s\$);
SELECT saga.create_workflow('$name', \$d\$$definition\$d\$);
SELECT count(saga.start_execution('$name', jsonb_build_object('run', '$name', 'invoice', document(p, g))))
FROM (VALUES ('A', $plan->{A}), ('X', $plan->{X}), ('Z', $plan->{Z})) v(p, n), generate_series(1, n) g;
SQL
	return { plan => $plan, name => $name, server => $server, n => $n, started => time };
}

# How many executions of each of these runs have ended; nothing while the server does not answer.
sub ended
{
	my ($self, @runs) = @_;
	my $names = join(',', map { "'$_->{name}'" } @runs);
	my ($out, $err) = ('', '');
	# the server may be in recovery; psql then ends before it has read anything
	local $SIG{PIPE} = 'IGNORE';
	my $rc = eval { $self->{node}->psql('postgres', "SELECT w.name, count(*) FROM saga.workflow w JOIN saga.execution e USING (workflow_id)
		WHERE w.name IN ($names) GROUP BY w.name", stdout => \$out, stderr => \$err) };
	return {} unless defined $rc && $rc == 0;
	return { map { split /\|/ } split /\n/, $out };
}

# Kills something when a part of the run is done.
sub disturb
{
	my ($self, $run) = @_;
	my $kill = $run->{plan}{kill};
	my $done = 0;

	# nothing else is done meanwhile, so that it comes in time
	until ($done > $run->{n} / 5 || time > $run->{started} + $TIME_LIMIT)
	{
		usleep(20_000);
		$done = $self->ended($run)->{ $run->{name} } // 0;
	}
	$self->{met}{"kill $kill"}++ if $done < $run->{n};
	if ($kill eq 'publisher')
	{
		poll_until($self->{node}, "SELECT count(*) > 0 FROM saga.workers WHERE type = 'publisher'");
		kill_process($self->sql("SELECT pid FROM saga.workers WHERE type = 'publisher' ORDER BY pid LIMIT 1"));
	}
	elsif ($kill eq 'server')
	{
		$self->{node}->stop('immediate');
		$self->{node}->start;
	}
	else
	{
		$run->{server}->kill9;
		$run->{server}->run;
	}
	return;
}

# ---------- the reckoning ----------

# What is wrong, in words.
sub reckon
{
	my ($self, $run) = @_;
	my ($plan, $name) = @{$run}{qw(plan name)};
	my $audit = $run->{server}->audit;
	my %numbers = map { $_->{number} => $_ } @{ $audit->{numbers} };
	my (%status, @wrong);

	foreach my $line (split /\n/, $self->sql("SELECT input->'invoice'->>'number', status, coalesce(error, current_state, ''), left(replace(coalesce(cause, ''), E'\\n', ' '), 200)
		FROM saga.executions WHERE workflow = '$name'"))
	{
		my ($number, $status, $error, $cause) = split /\|/, $line, 4;
		my $group = substr($number, 0, 1);
		my $should = { A => 'SUCCEEDED', X => 'FAILED', Z => 'FAILED' }->{$group};
		my $at_all = { A => 1, X => 0, Z => 1 }->{$group};
		my $stands = $group eq 'A' ? 1 : 0;
		my $doc = $numbers{$number} // { posted => 0, voided => 0, credit_notes => 0 };
		$status{$group}++;
		push @wrong, "$number is $status ($error: $cause)"
		  if $status ne $should || ($group eq 'Z' && $error ne 'NotWanted');
		push @wrong, "$number was posted $doc->{posted} times" if $doc->{posted} != $at_all;
		push @wrong, "$number: posted $doc->{posted}, voided $doc->{voided}" if $doc->{posted} - $doc->{voided} != $stands;
	}
	foreach my $group (qw(A X Z))
	{
		push @wrong, "$group: " . ($status{$group} // 0) . " executions of $plan->{$group}" if ($status{$group} // 0) != $plan->{$group};
	}
	push @wrong, map { "an unknown number $_" } grep { !/^[AZ]-[0-9]+$/ } keys %numbers;
	push @wrong, map { "key $_->{key} took effect $_->{effects} times" } grep { $_->{effects} > 1 } @{ $audit->{keys} };
	push @wrong, $self->reckon_keys($plan, $audit), $self->reckon_lookups($plan, $audit), $self->reckon_limits($plan, $audit), $self->reckon_ledger($name, $audit);
	# what is refused after a lost answer is in doubt, where there is no look-up
	my $doubt = $plan->{lookup} ? '' : q(AND NOT (body->'invoice'->>'number' LIKE 'X%' AND details->>'error' = 'Saga.Uncertain'
			AND details->>'cause' LIKE 'an earlier request may have been done%'));
	push @wrong, map { "dead letter: $_" } split /\n/, $self->sql("SELECT reason, left(cause, 200) FROM saga.dead_letters
		WHERE queue = '$name' AND reason LIKE 'Saga.%' $doubt");
	push @wrong, $self->nothing_left($name);
	push @wrong, $self->waiting($name) if @wrong;
	push @wrong, $self->no_secret($name);
	$run->{requests} = @{ $audit->{requests} };
	$run->{spoilt} = grep { @{ $_->{fault} } || !defined $_->{status} } @{ $audit->{requests} };
	$run->{took} = time - $run->{started};
	$self->{spoilt} += $run->{spoilt};
	$self->{requests} += $run->{requests};
	$self->meet($plan, $audit);
	return @wrong;
}

# What the runs have met: each fault that happened, by action; what was lost while keys were being
# forgotten; kills in mid-run.
sub meet
{
	my ($self, $plan, $audit) = @_;
	my $met = $self->{met};

	$met->{"kind $plan->{kind}"}++;
	foreach my $i (0 .. $#{ $plan->{rules} })
	{
		my ($rule, $fired) = ($plan->{rules}[$i], $audit->{fired}[$i]);
		my $action = join(' ', $rule->{path} && $rule->{path} =~ /token/ ? 'token:' : (), (map { $rule->{$_} // () } qw(action status)),
			exists $rule->{retry_after} ? ('retry_after', $rule->{date} ? 'date' : ()) : ());
		next unless $fired;
		$met->{$action} += $fired;
		$met->{"$action, $plan->{kind}"} += $fired if $rule->{action} eq 'drop_after';
	}
	$met->{limited} += $_->{limited} foreach values %{ $audit->{clients} };
	$met->{refreshed} += $_->{refreshed} foreach values %{ $audit->{oauth} };
	return;
}

# What many runs must have met; each with the number of times.
sub met
{
	my ($self) = @_;
	return { map { $_ => $self->{met}{$_} // 0 } @must_meet, keys %{ $self->{met} } };
}

sub not_met
{
	my ($self) = @_;
	return grep { !$self->{met}{$_} } @must_meet;
}

# May it have had its effect, as far as the client can tell?
sub is_doubtful
{
	my ($request) = @_;
	return $request->{effect} || $request->{replay} || !defined $request->{status} || $request->{status} =~ /^50[024]$/;
}

sub is_good_lookup
{
	my ($request) = @_;
	return $request->{method} eq 'GET' && ($request->{status} // 0) == 200 && !grep { /half_response|garbage_json/ } @{ $request->{fault} };
}

# What is doubtful is looked up before it is sent again.
sub reckon_lookups
{
	my ($self, $plan, $audit) = @_;
	my (%doubt, @wrong);
	return () unless $plan->{lookup};
	foreach my $request (grep { $_->{path} =~ /^\/v1\/invoices(\?|$)/ } @{ $audit->{requests} })
	{
		my $number = $request->{number};
		push @wrong, "$number was sent again and not looked up" if $request->{method} eq 'POST' && $doubt{$number};
		if ($request->{method} eq 'POST') { $doubt{$number} = is_doubtful($request) }
		elsif (is_good_lookup($request)) { $doubt{$number} = 0 }
	}
	return @wrong;
}

# The same key at each attempt of one thing, and no key for two things. A new one only where the
# server may have kept a failure under the old one: the same three times, and not found.
sub reckon_keys
{
	my ($self, $plan, $audit) = @_;
	my (%sent, %things, @wrong);
	return () unless $plan->{key};
	foreach my $request (grep { $_->{method} eq 'POST' && $_->{path} =~ /^\/v1\// && ($_->{status} // 0) != 401 } @{ $audit->{requests} })
	{
		my $thing = "$request->{path} $request->{number}";
		my $key = $request->{key} // 'none';
		my @before = @{ $sent{$thing} // [] };
		my @last = @before < 3 ? () : map { $_->{status} // 0 } @before[ -3 .. -1 ];
		push @wrong, "$thing has another key, $key"
		  if @before && $before[-1]{key} ne $key && !($plan->{lookup} && @last && $last[0] =~ /^50[024]$/ && $last[0] == $last[1] && $last[1] == $last[2]);
		push @{ $sent{$thing} }, { key => $key, status => $request->{status} };
		$things{$key}{$thing} = 1;
	}
	return @wrong, map { "key $_ is that of " . join(', ', sort keys %{ $things{$_} }) } grep { keys %{ $things{$_} } > 1 } sort keys %things;
}

sub reckon_limits
{
	my ($self, $plan, $audit) = @_;
	my $limits = $plan->{limits};
	my @wrong;

	foreach my $client (values %{ $audit->{clients} })
	{
		# what leaves at an even pace does not arrive at one
		push @wrong, "$client->{max_per_second} requests in a second, not $limits->{per_second}"
		  if $limits->{per_second} && $client->{max_per_second} > $limits->{per_second} + 2;
		# one that was given up may still be there for the server when the next one comes
		push @wrong, "$client->{max_concurrent} requests at once, not $limits->{concurrency}"
		  if $limits->{concurrency} && $client->{max_concurrent} > $limits->{concurrency} + 1;
	}
	return @wrong;
}

sub reckon_ledger
{
	my ($self, $name, $audit) = @_;
	my $ledger = $json->encode($audit->{ledger});
	return map { "ledger: $_" } split /\n/, $self->sql(<<"SQL");
WITH ours AS (SELECT currency, sum(total) AS total FROM booked WHERE workflow = '$name' GROUP BY currency),
theirs AS (SELECT key AS currency, (value->>'net')::numeric AS total FROM jsonb_each('$ledger'))
SELECT currency, ours.total, theirs.total FROM ours FULL JOIN theirs USING (currency)
WHERE coalesce(ours.total, 0) <> coalesce(theirs.total, 0)
SQL
}

sub nothing_left
{
	my ($self, $name) = @_;
	my $query = "SELECT (SELECT count(*) FROM saga.continuation c JOIN saga.workflow w USING (workflow_id) WHERE w.name = '$name'),
		(SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$name' AND o.state = 'waiting')";
	my $end = time + 30;
	my $left;
	while (time < $end)
	{
		$left = $self->sql($query);
		return () if $left eq '0|0';
		usleep(50_000);
	}
	return "left behind: continuations|messages $left";
}

# What still waits, and how it came to that, for who has to find out why.
sub waiting
{
	my ($self, $name) = @_;
	return split /\n/, $self->sql(<<"SQL");
SELECT concat_ws(' ', coalesce(request->'Body'->>'number', '?'), phase, 'sends', sends, CASE WHEN uncertain THEN 'uncertain' END,
	(SELECT 'due ' || wake_at || ' lease ' || coalesce(lease::text, '-') FROM saga.timer t WHERE t.queue_id = o.destination_id AND t.message_id = o.outbox_id),
	(SELECT 'in the queue' FROM saga.message m WHERE m.queue_id = o.destination_id AND m.message_id = o.outbox_id), 'now', now(),
	(SELECT string_agg(concat_ws('/', a.phase, a.class, a.status, left(a.error, 30), round(extract(epoch FROM a.ended_at - o.created_at), 1)), ', ' ORDER BY attempt)
	FROM (SELECT * FROM saga.outbox_attempt a WHERE a.outbox_id = o.outbox_id ORDER BY attempt DESC LIMIT 12) a))
FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$name' AND state = 'waiting'
SQL
}

# Neither the client's secret nor a token that the server gave in what the outbox and the engine keep.
sub no_secret
{
	my ($self, $name) = @_;
	my $pattern = "$self->{secret}|(tok|ref)_[0-9a-f]{20}";
	my $destination = "WHERE destination_id = (SELECT destination_id FROM saga.destination WHERE name = '$name')";
	my $workflow = "WHERE workflow_id = (SELECT workflow_id FROM saga.workflow WHERE name = '$name')";
	my %where = (outbox => $destination, outbox_attempt => $destination, destination => $destination, execution => $workflow,
		history => "WHERE execution_id IN (SELECT execution_id FROM saga.execution $workflow)", dead_letter => '', destination_state => '');
	my $log = slurp_file($self->{node}->logfile, $self->{log_read} // 0);
	$self->{log_read} += length $log;
	my @wrong;
	foreach my $table (sort keys %where)
	{
		push @wrong, "a secret in saga.$table" if $self->sql("SELECT EXISTS (SELECT FROM (SELECT * FROM saga.$table $where{$table}) t
			WHERE t::text ~ '$pattern')") eq 't';
	}
	push @wrong, 'a secret in the log' if $log =~ /$pattern/;
	$self->{met}{lost} += $1 while $log =~ /released (\d+) outbox messages? of/g;
	return @wrong;
}

# What the next runs need not carry along. A run that went wrong is left as it is.
sub tidy
{
	my ($self, $run) = @_;
	$self->sql("SELECT saga.drop_destination('$run->{name}', force => true); DELETE FROM booked WHERE workflow = '$run->{name}'");
	$self->sql("SELECT saga.drop_secret('$run->{name}-refresh')") if $run->{plan}{auth} eq 'oauth2_refresh_token';
	return;
}

# All of it at the end, as a dump shows it.
sub reckon_dump
{
	my ($self) = @_;
	my $dump = $self->{node}->backup_dir . '/dump.sql';
	system('pg_dump', '--no-sync', '-f', $dump, $self->{node}->connstr('postgres')) == 0 or return 'pg_dump failed';
	return slurp_file($dump) =~ /$self->{secret}|(tok|ref)_[0-9a-f]{20}/ ? 'a secret in the dump' : ();
}

1;
