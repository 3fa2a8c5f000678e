# The record agrees with the books: executions that end in every way, at a server that is late, drops
# requests and answers, and refuses; then what each execution says is compared with what the server did.
# With every third seed processes are killed in the meantime, or the server.
#
#	SAGA_BOOKS_SEEDS=1000 SAGA_BOOKS_FROM=1 t/check tap t/112_books.pl
#
# SAGA_BOOKS_DEADLINE=86400: how long it is found out. SAGA_BOOKS_DRAIN=1: saga.drain() in two sessions, without workers.
# SAGA_BOOKS_CRASHES=N: N crashes in each, or none.
use strict;
use warnings;

use File::Temp;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $from = $ENV{SAGA_BOOKS_FROM} // 1;
my $seeds = $ENV{SAGA_BOOKS_SEEDS} // 3;
my $endings;
my $each = 4;	# executions of each ending
my $node = new_saga_node('main', 'pg_saga.workers = ' . ($ENV{SAGA_BOOKS_DRAIN} ? 0 : 2), 'pg_saga.publishers = 2', 'pg_saga.max_queues = 20000',
	'restart_after_crash = on', 'pg_saga.crash_limit = 2');
create_extensions($node);
my $server = start_accounting();
my $dir = File::Temp->newdir('saga-books-XXXXXX', TMPDIR => 1);
my @drains = map { IPC::Run::start([ 'sh', '-c', 'until [ -e "$1" ]; do psql -X -q -d "$2" -c "CALL saga.drain()"; sleep 0.1; done',
	'sh', "$dir/stop", $node->connstr('postgres') ]) } 1 .. ($ENV{SAGA_BOOKS_DRAIN} ? 2 : 0);

sub chance { return rand() < $_[0] }
sub between { my ($from, $to) = @_; return $from + int(rand($to - $from + 1)) }

sql(<<'SQL');
CREATE FUNCTION refuse(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
CREATE TABLE taken_back (number text);
CREATE FUNCTION take_back(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO taken_back VALUES ($1 #>> '{input,Payload,number}') RETURNING '{}'::jsonb $$;
SQL

# ---------- the service, and what is known of it ----------

my %settles = (
	lookup => { idempotency => { in => 'none' } },
	both => {},
	key => { idempotency => { ttl_s => 3600 } },
	blind => { idempotency => { in => 'none' } });

sub destination
{
	my ($name, $kind) = @_;
	my %settings = (
		url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => between(500, 1500), base_ms => 20, cap_ms => 200,
		max_attempts => between(1, 4), capture => { remote_id => 'id' }, settle => { deadline_s => 0 + ($ENV{SAGA_BOOKS_DEADLINE} // 25) },
		compensate => { url => '/v1/invoices/{remote_id}/void', already_done => { status => [400], body => { contains => 'VOIDED' } } },
		%{ $settles{$kind} });
	# a request is late by 2 seconds at most, and a full machine makes that more
	$settings{lookup} = { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', timeout_ms => 5000,
		same => { path => 'invoices[0].total', equals => '{total}' }, capture => { remote_id => 'invoices[0].id' }, delay_ms => 6000 }
	  if $kind eq 'lookup' || $kind eq 'both';
	my $text = $json->encode(\%settings);
	sql("SELECT saga.create_destination('$name', 'http', \$s\$$text\$s\$)");
	return;
}

# A request may be late, lost before or after its effect, or refused; so may be its undoing.
sub faults
{
	my ($kind) = @_;
	my @post = (method => 'POST', path => '/v1/invoices');
	my @undo = (method => 'POST', path => '/void$/');
	my $p = sub { return probability => between(5, 25) / 100 };
	my @rules = (
		{ @post, action => 'delay', ms => between(300, 2000), at => 'before', $p->() },
		{ @post, action => 'delay', ms => between(300, 2000), at => 'after', $p->() },
		{ @post, action => 'drop_before', $p->() },
		{ @post, action => 'drop_after', $p->() },
		{ @post, action => 'status', status => (403, 422, 500, 503)[ between(0, 3) ], $p->() },
		{ @post, action => 'status', status => 500, effect => $true, $p->() },
		{ @post, action => 'garbage_json', $p->() },
		{ @undo, action => 'drop_after', $p->() },
		{ @undo, action => 'status', status => 500, $p->() },
		{ method => 'GET', path => '/v1/invoices', action => 'status', status => 500, $p->() },
		{ method => 'GET', path => '/v1/invoices', action => 'garbage_json', $p->() });
	return { modes => { duplicate => 'allow', $kind eq 'key' ? () : (idempotency => 'none') }, rules => [ grep { chance(0.6) } @rules ] };
}

# ---------- the endings ----------

sub book
{
	my ($name, %more) = @_;
	return { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Compensate => 'Void', TimeoutSeconds => 60, ResultPath => '$.booked',
		Parameters => { ApiEndpoint => "saga:$name", Method => 'POST', 'RequestBody.$' => '$' }, End => $true, %more };
}

# The service knows it by a number of its own, which nobody has: what is to be undone is written down.
sub publish
{
	my ($name, %more) = @_;
	return { Type => 'Task', Resource => 'saga:publish', Compensate => 'TakeBack', ResultPath => '$.booked',
		Parameters => { Destination => $name, 'Payload.$' => '$' }, %more };
}

sub copy { return $json->decode($json->encode($_[0])) }

my $refuse = { Type => 'Task', Resource => 'sql:public.refuse', End => $true };
my $succeed = { Type => 'Succeed' };
sub next_is { return (End => undef, Next => $_[0]) }
sub catch { my ($next, @names) = @_; return { ErrorEquals => [@names], Next => $next, ResultPath => '$.error' } }

# The states of each; the first is Start. How it is stopped, if it is.
sub endings
{
	my ($name) = @_;
	my %parallel = (Type => 'Parallel', Branches => [
		{ StartAt => 'Book', States => { Book => book($name) } },
		{ StartAt => 'Pause', States => { Pause => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, Refuse => $refuse } } ]);
	my @late = (TimeoutSeconds => 1);
	my @again = (Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1, MaxAttempts => 2 } ]);
	# what is done has an answer of which nothing can be made
	my @unfit = (@late, @again, ResultSelector => { 'x.$' => "States.StringToJson('{')" });
	my %unfit = (Start => book($name, @unfit, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed);
	my %later = (Start => book($name, @late, next_is('Wait'), Catch => [ catch('Wait', 'States.ALL') ]),
		Wait => { Type => 'Wait', Seconds => 2, Next => 'Refuse' }, Refuse => $refuse);
	my %done = (Start => book($name, @late, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed);
	my %published = (Start => publish($name, Next => 'Wait'), Wait => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, Refuse => $refuse);
	return (
		published => { %{ copy(\%published) } },
		published_at_once => { Start => publish($name, Next => 'Refuse'), Refuse => $refuse },
		published_in_order => { Start => publish($name, Next => 'Wait', Parameters => { Destination => $name, 'Payload.$' => '$', OrderingKey => 'one' }),
			Wait => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, Refuse => $refuse },
		published_stopped => { %{ copy(\%published) }, stop => $true },
		published_killed => { %{ copy(\%published) }, stop => $false },
		token => { Start => book($name, TimeoutSeconds => 2, Resource => 'arn:aws:states:::http:invoke.waitForTaskToken') },
		plain => { Start => book($name) },
		fails => { Start => book($name, next_is('Refuse')), Refuse => $refuse },
		late => { Start => book($name, @late) },
		caught => { Start => book($name, @late, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed },
		caught_fails => { Start => book($name, @late, Catch => [ catch('Pause', 'States.ALL') ]),
			Pause => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, Refuse => $refuse },
		kept => { Start => book($name, @late, Catch => [ catch('Done', 'Saga.Uncertain'), catch('Done', 'States.ALL') ]), Done => $succeed },
		kept_fails => { Start => book($name, @late, Catch => [ catch('Refuse', 'Saga.Uncertain') ]), Refuse => $refuse },
		retried => { Start => book($name, @late, @again) },
		unfit => { Start => book($name, @unfit) },
		unfit_caught => { %{ copy(\%unfit) } },
		unfit_stopped => { %{ copy(\%unfit) }, stop => $true },
		unfit_killed => { %{ copy(\%unfit) }, stop => $false },
		unfit_kept => { Start => book($name, @unfit, Catch => [ catch('Done', 'Saga.Uncertain', 'States.IntrinsicFailure'), catch('Done', 'States.ALL') ]),
			Done => $succeed },
		unfit_published => { Start => publish($name, ResultPath => '$.number.a', Next => 'Done', @again, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed },
		named => { Start => book($name, @late, Retry => [ { ErrorEquals => ['Saga.Uncertain'], IntervalSeconds => 1, MaxAttempts => 1 } ],
			Catch => [ catch('Refuse', 'States.ALL') ]), Refuse => $refuse },
		sibling => { Start => { %parallel, End => $true } },
		sibling_again => { Start => { %parallel, End => $true, Retry => [ { ErrorEquals => ['NotWanted'], IntervalSeconds => 1, MaxAttempts => 1 } ] } },
		again => { Start => book($name, @late, Catch => [ catch('Same', 'States.ALL') ]), Same => { Type => 'Pass', Parameters => { 'number.$' => '$.number',
				'currency.$' => '$.currency', 'seller.$' => '$.seller', 'buyer.$' => '$.buyer', 'total.$' => '$.total', 'tax.$' => '$.tax', 'lines.$' => '$.lines' },
				Next => 'Count' },
			Count => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, Refuse => $refuse },
		over => { Start => book($name), TimeoutSeconds => 1 },
		later_stopped => { %{ copy(\%later) }, stop => $true },
		later_killed => { %{ copy(\%later) }, stop => $false },
		done_stopped => { %{ copy(\%done) }, stop => $true },
		done_killed => { %{ copy(\%done) }, stop => $false },
		sibling_stopped => { Start => copy({ %parallel, End => $true }), stop => $true },
		sibling_killed => { Start => copy({ %parallel, End => $true }), stop => $false },
		fails_killed => { Start => book($name, next_is('Refuse')), Refuse => $refuse, stop => $false },
		stopped => { Start => book($name, next_is('Refuse')), Refuse => $refuse, stop => $true },
		killed => { Start => book($name, next_is('Wait')), Wait => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, Refuse => $refuse, stop => $false });
}

my $void = { Type => 'Task', Resource => 'arn:aws:states:::http:invoke' };

sub workflow
{
	my ($destination, $name, $states) = @_;
	my %top = map { exists $states->{$_} ? ($_ => delete $states->{$_}) : () } qw(TimeoutSeconds);
	my $undo = { %$void, Parameters => { ApiEndpoint => "saga:$destination", Operation => 'compensate',
		'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } };
	foreach my $where ($states, map { map { $_->{States} } @{ $_->{Branches} // [] } } values %$states)
	{
		my %undo = map { ($_->{Compensate} // '') => 1 } values %$where;
		$where->{Void} = $undo if $undo{Void};
		$where->{TakeBack} = { Type => 'Task', Resource => 'sql:public.take_back' } if $undo{TakeBack};
		foreach my $state (values %$where) { delete $state->{End} unless $state->{End} }
	}
	my $definition = $json->encode({ StartAt => 'Start', States => $states, %top });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
	return;
}

# ---------- a run ----------

# Those that have not ended, or some of them. With an old snapshot a worker does it.
sub stop
{
	my ($workflow, $compensate) = @_;
	my $begin = 'BEGIN ISOLATION LEVEL ' . (chance(0.3) ? 'REPEATABLE READ' : 'READ COMMITTED');
	my $some = chance(0.5) ? '' : 'AND random() < 0.5';
	sql(qq($begin; DO \$\$ DECLARE e record; BEGIN FOR e IN SELECT execution_id FROM saga.executions WHERE workflow = '$workflow'
		AND status IN ('RUNNING', 'COMPENSATING') $some LOOP BEGIN PERFORM saga.stop_execution(e.execution_id, compensate => $compensate);
		EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END; END LOOP; END \$\$; COMMIT));
	return;
}

# One of what the engine consists of goes, or all of it.
sub crash
{
	my $what = (qw(worker publisher worker publisher server))[ between(0, 4) ];
	my $signal = chance(0.3) ? 'TERM' : 'KILL';

	if ($what eq 'server')
	{
		$node->stop($signal eq 'KILL' ? 'immediate' : 'fast');
		$node->start;
		return "$what $signal";
	}
	my $pid = sql("SELECT pid FROM saga.workers WHERE type = '$what' AND pid IS NOT NULL ORDER BY random() LIMIT 1");
	return "no $what" if $pid eq '' || !kill($signal, $pid);
	wait_for_exit($pid);
	poll_until($node, 'SELECT true');
	return "$what $signal";
}

sub run
{
	my ($seed) = @_;
	srand($seed);
	my $crashes = $ENV{SAGA_BOOKS_CRASHES} // ($seed % 3 == 0 ? 3 : 0);
	my $kind = (qw(lookup key blind both))[ $seed % 4 ];
	my $name = "run$seed";
	$server->reset($seed);
	sql('TRUNCATE taken_back');
	$server->faults(faults($kind));
	destination($name, $kind);
	my %endings = endings($name);
	my @stops;
	$endings = keys %endings;
	foreach my $ending (sort keys %endings)
	{
		my $stop = delete $endings{$ending}{stop};
		workflow($name, "$name-$ending", $endings{$ending});
		sql("SELECT count(saga.start_execution('$name-$ending', jsonb_build_object('number', '$ending-' || n, 'currency', 'EUR', 'seller', 'S',
			'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb))) FROM generate_series(1, $each) n");
		push @stops, [ "$name-$ending", $stop ? 'true' : 'false' ] if defined $stop;
	}
	foreach my $round (1 .. 3)
	{
		usleep(between(50, 900) * 1000);
		note(crash()) if $crashes-- > 0;
		stop(@{$_}) foreach grep { $round == 1 || chance(0.5) } @stops;
	}
	while ($crashes-- > 0)
	{
		usleep(between(50, 2000) * 1000);
		note(crash());
	}
	my $live = "SELECT count(*) FROM saga.executions WHERE workflow LIKE '$name-%' AND status IN ('RUNNING', 'COMPENSATING')";
	# what has not ended is named by the reckoning; a late request that nobody waits for any more may be at work still
	wait_until(sub { sql($live) eq '0' }) && wait_until(sub { !grep { !defined $_->{ended_at} } @{ $server->audit->{requests} } });
	return ($kind, reckon($name));
}

# What server and outbox have of a number, to find out what went wrong.
sub told
{
	my ($name, $number, $audit) = @_;
	return (map({ "  server: " . $json->encode($_) } grep { $json->encode($_) =~ /"\Q$number\E"/ } @{ $audit->{requests} }),
		map({ "  $_" } split(/\n/, sql("SELECT to_jsonb(o) - 'request' FROM saga.outbox o WHERE request::text LIKE '%\"$number\"%'"),
			sql("SELECT to_jsonb(a) FROM saga.outbox_attempt a WHERE outbox_id IN (SELECT outbox_id FROM saga.outbox WHERE request::text LIKE '%\"$number\"%') ORDER BY started_at"))));
}

sub reckon
{
	my ($name) = @_;
	my $audit = $server->audit;
	my %books = map { $_->{number} => $_ } @{ $audit->{numbers} };
	my @wrong;
	my %taken_back = map { split(/\|/) } split(/\n/, sql("SELECT number, count(*) FROM taken_back GROUP BY 1"));
	my $rows = $json->decode(sql("SELECT coalesce(jsonb_agg(jsonb_build_object('number', input->>'number', 'status', status, 'error', error,
		'completed', workflow LIKE '%-plain' OR workflow LIKE '%-retried', 'output', output, 'listed', not_compensated, 'undone', compensated,
		'waiting_for', waiting_for, 'letter', d.reason, 'record', (SELECT jsonb_agg(concat_ws(' ', CASE WHEN compensate THEN 'undo' ELSE 'book' END,
			state, outcome, outcome_by, last_class, attempts)) FROM saga.outbox o WHERE o.execution_id = e.execution_id))), '[]')
		FROM saga.executions e LEFT JOIN saga.dead_letters d ON d.message_id = e.execution_id WHERE workflow LIKE '$name-%'"));

	foreach my $row (@$rows)
	{
		my $book = $books{ $row->{number} } // { posted => 0, voided => 0 };
		$book = { %$book, voided => $book->{voided} + ($taken_back{ $row->{number} } // 0) };
		my $stands = $book->{posted} - $book->{voided};
		my @listed = @{ $row->{listed} // [] };
		my $succeeded = $row->{status} eq 'SUCCEEDED';
		# left without an error: what was caught has left one
		my $completed = $succeeded && !$row->{output}{error};
		my $kept = $succeeded && $row->{number} =~ /^(unfit_)?kept-/;
		my $say = sub {
			push @wrong, "$_[0]: posted $book->{posted}, voided $book->{voided}: " . $json->encode($row), told($name, $row->{number}, $audit);
		};

		if ($row->{status} =~ /RUNNING|COMPENSATING/) { $say->('has not ended') }
		elsif ($book->{posted} > ($row->{number} =~ /^sibling_again/ ? 2 : 1)) { $say->('done more than once') }
		elsif ($book->{voided} > $book->{posted}) { $say->('undone more than once') }
		elsif ($stands > @listed + ($completed || $kept ? 1 : 0)) { $say->('stands, and nobody knows') }
		elsif ($completed && !$stands && !@listed) { $say->('completed, and is not there') }
		elsif ($stands < grep { $_->{outcome} eq 'done' } @listed) { $say->('is said to be there') }
		$say->('no dead letter tells of it') if @listed && ($row->{letter} // '') ne 'Saga.CompensationFailed';
		$say->('an entry has no message') if grep { !$_->{message_id} || !$_->{key} } @listed;
	}
	push @wrong, "executions: " . scalar(@$rows) if @$rows != $each * $endings;
	return @wrong;
}

foreach my $seed ($from .. $from + $seeds - 1)
{
	my $began = time;
	my ($kind, @wrong) = run($seed);
	is(join("\n", @wrong), '', "seed $seed, $kind") or diag("to run it alone: SAGA_BOOKS_FROM=$seed SAGA_BOOKS_SEEDS=1");
	note(sprintf('%.1f s', time - $began));
}
append_to_file("$dir/stop", '');
$_->finish foreach @drains;
$node->stop;
done_testing();
