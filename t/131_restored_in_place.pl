# Files of the data directory that are put back over those that are there, as by "cp -a copy/. data/" and
# "rsync -a --inplace": inodes stay. What was sent since the copy was made is looked up and not sent again.
use strict;
use warnings;

use File::Find qw(find);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(stat utime);
use Saga::Test qw(:DEFAULT sql);

my $books = start_accounting();
$books->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [] });
my $settings = encode_json({ url => $books->url('/v1/invoices'), allow_private => JSON::PP::true, base_ms => 10, idempotency => { in => 'none' },
	lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]' } });
my $node = new_saga_node('main', 'pg_saga.workers = 1');
create_extensions($node, 'postgres');
sql("SELECT saga.create_destination('books', 'http', '$settings')");

sub submit
{
	my ($prefix) = @_;
	sql("SELECT saga.pause_destination('books')");
	sql("SELECT count(saga.publish_to('books', jsonb_build_object('number', '$prefix-' || n, 'currency', 'EUR', 'seller', 'S', 'buyer', 'B',
		'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb))) FROM generate_series(1, 5) n");
	return;
}

sub send_all
{
	sql("SELECT saga.resume_destination('books')");
	poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0');
	return;
}

sub posted
{
	my ($prefix) = @_;
	my %numbers = map { $_->{number} => $_->{posted} } grep { $_->{number} =~ /^$prefix-/ } @{ $books->audit->{numbers} };
	return join(' ', map { "$_:$numbers{$_}" } sort keys %numbers);
}

# One file over the other, which keeps its inode; times too, as both tools do with -a.
sub put_back
{
	my ($from, $to) = @_;
	my @from = stat($from) or die "$from: $!\n";
	open my $in, '<:raw', $from or die "$from: $!\n";
	open my $out, (-e $to ? '+<:raw' : '>:raw'), $to or die "$to: $!\n";
	local $/ = undef;
	print {$out} <$in> or die "$to: $!\n" if $from[7] > 0;
	truncate($out, $from[7]) or die "$to: $!\n";
	close $out or die "$to: $!\n";
	chmod $from[2] & oct(7777), $to;
	utime $from[8], $from[9], $to;
	return;
}

sub restore
{
	my ($copy, %opt) = @_;
	find({ no_chdir => 1, wanted => sub {
		my $from = $File::Find::name;
		my $to = $node->data_dir . substr($from, length $copy);
		if (-d $from) { mkdir $to, oct(700); return }
		my (@from, @to) = (stat $from);
		@to = stat $to;
		# what has the same size and time is taken for the same
		return if $opt{differing} && @to && $to[7] == $from[7] && int($to[9] * 1000) == int($from[9] * 1000);
		put_back($from, $to);
	} }, $copy);
	return;
}

my $n = 0;
foreach my $how ([ 'all files' ], [ 'what differs', differing => 1 ])
{
	my ($name, %opt) = @{$how};
	my $prefix = 'p' . ++$n;
	submit($prefix);
	$node->stop;
	my $copy = "$PostgreSQL::Test::Utils::tmp_check/copy$n";
	PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $copy);
	# that one copies no times
	find({ no_chdir => 1, wanted => sub {
		my @is = stat($node->data_dir . substr($File::Find::name, length $copy));
		utime $is[8], $is[9], $File::Find::name;
	} }, $copy);
	$node->start;
	send_all();
	is(posted($prefix), join(' ', map { "$prefix-$_:1" } 1 .. 5), "$name: all is sent");
	my $inode = (stat $node->data_dir . '/global/pg_control')[1];
	my $takeover = sql('SELECT count(*) FROM saga.takeover');
	$node->stop('immediate');
	my $version = (stat $node->data_dir . '/PG_VERSION')[10];
	restore($copy, %opt);
	is((stat $node->data_dir . '/global/pg_control')[1], $inode, "$name: put back in place");
	is((stat $node->data_dir . '/PG_VERSION')[10], $version, "$name: which PG_VERSION does not show") if $opt{differing};
	$node->start;
	is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'waiting'"), '5', "$name: there it waits");
	send_all();
	is(posted($prefix), join(' ', map { "$prefix-$_:1" } 1 .. 5), "$name: nothing is sent twice");
	is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered' AND doubted AND sends = 0 AND request::text LIKE '%$prefix-%'"), '5', "$name: it was looked up");
	is(sql('SELECT count(*) FROM saga.takeover'), $takeover + 1, "$name: since that is noted");
}

# and nothing of the server's own is taken for that
my $takeovers = sql('SELECT count(*), max(at) FROM saga.takeover');
foreach my $mode ('fast', 'immediate')
{
	$node->stop($mode);
	$node->start;
	submit("after-$mode");
	send_all();
	is(sql('SELECT count(*), max(at) FROM saga.takeover'), $takeovers, "a start after a stop that was $mode is none");
}
is(sql(q(SELECT count(*) FROM saga.outbox WHERE sends <> 1 AND request::text LIKE '%after-%')), '0', 'and what waits is sent');

$node->stop;
done_testing();
