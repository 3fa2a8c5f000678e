# Saga::Session: what psql does for the tests, without starting a psql for each statement. On a small machine the
# start of a process costs more than most statements, and a test that polls would take the processors from the servers
# that it waits for.
#
# A session is used as psql -XAtq -f - is: statements are sent one by one, rows come as lines with | between the
# columns, the exit status is 0, 2 (no connection) or 3 (an error). What only psql can do (commands with \, COPY) is
# not done here: statements() says so.
package Saga::Session;

use strict;
use warnings;

my $there = eval { require DBI; require DBD::Pg; 1 };

# The statements of a text, each with the line that it ends in; nothing when only psql can run it.
sub statements
{
	my ($text) = @_;
	my (@found, $begin);
	my ($depth, $line, $from) = (0, 1, 0);

	return unless $there;
	return if $text =~ /\bBEGIN\s+ATOMIC\b/i;
	pos($text) = 0;
	while (pos($text) < length $text)
	{
		my $at = pos $text;

		if ($text =~ /\G(?:\s+|--[^\n]*)/gc) { next }
		if ($text =~ m{\G/\*}gc)
		{
			my $open = 1;
			while ($open && $text =~ m{\G.*?(/\*|\*/)}gcs) { $open += $1 eq '/*' ? 1 : -1 }
			return if $open;
			next;
		}
		if ($text =~ /\G;/gc)
		{
			next if $depth > 0;
			push @found, [ substr($text, $begin, $at + 1 - $begin), 1 + (substr($text, 0, $at) =~ tr/\n//) ] if defined $begin;
			undef $begin;
			next;
		}
		$begin //= $at;
		next if $text =~ /\G[eE]'(?:[^'\\]|\\.|'')*'/gcs || $text =~ /\G'(?:[^']|'')*'/gc || $text =~ /\G"(?:[^"]|"")*"/gc;
		if ($text =~ /\G(\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)/gc)
		{
			my $end = index($text, $1, pos $text);
			return if $end < 0;
			pos($text) = $end + length $1;
			next;
		}
		next if $text =~ /\G(?:[A-Za-z_\x80-\xff][\w\x80-\xff\$]*|\d+|::|:=)/gc;
		# a command or a variable of psql's, or a quote that does not end
		return if $text =~ /\G(?:[\\'"]|:[A-Z'"{])/;
		if ($text =~ /\G[(\[]/gc) { $depth++; next }
		if ($text =~ /\G[)\]]/gc) { $depth--; next }
		$text =~ /\G./gcs;
	}
	push @found, [ substr($text, $begin), 1 + ($text =~ tr/\n//) ] if defined $begin;
	return if grep { $_->[0] =~ /^COPY\b/i } @found;
	return \@found;
}

# A session of this connection string and role, or undef and what psql says.
sub new
{
	my ($class, $connstr, $role) = @_;
	my %option = (AutoCommit => 1, PrintError => 0, RaiseError => 0, PrintWarn => 1, AutoInactiveDestroy => 1,
		pg_enable_utf8 => 0, pg_bool_tf => 1, pg_expand_array => 0, pg_server_prepare => 0);
	my $dbh = DBI->connect("dbi:Pg:$connstr", $role // '', '', \%option);

	return (undef, 'psql: error: ' . (DBI->errstr // 'no connection')) unless $dbh;
	return bless { dbh => $dbh }, $class;
}

sub DESTROY
{
	my ($self) = @_;
	local ($@, $!, $?);
	$self->{dbh}->disconnect if $self->{dbh};
	return;
}

# A value as the server wrote it, before DBD::Pg read it.
sub value
{
	my ($value, $type) = @_;

	return '' unless defined $value;
	return '\\x' . unpack('H*', $value) if $type eq 'bytea';
	return "$value" unless $type eq 'float8';
	foreach my $digits (15 .. 17)
	{
		my $text = sprintf('%.*g', $digits, $value);
		return $text if $text == $value;
	}
	return "$value";
}

# A row as psql prints it.
sub line
{
	my ($row, $types) = @_;
	return join('|', map { value($row->[$_], $types->[$_]) } 0 .. $#$row) . "\n";
}

# Run what statements() gave. The result is the exit status, the output and what goes to stderr, without the last end
# of line of either.
sub run
{
	my ($self, $statements, $stop) = @_;
	my $dbh = $self->{dbh};
	my ($rc, $out, $err) = (0, '', '');
	my $at;
	local $SIG{__WARN__} = sub { $err .= "psql:<stdin>:$at: $_[0]"; $err .= "\n" unless $err =~ /\n\z/ };

	foreach my $statement (@$statements)
	{
		$at = $statement->[1];
		my $sth = $dbh->prepare($statement->[0], { pg_direct => 1 });
		if ($sth && $sth->execute)
		{
			if ($sth->{NUM_OF_FIELDS})
			{
				my $types = $sth->{pg_type};
				while (my $row = $sth->fetchrow_arrayref) { $out .= line($row, $types) }
			}
			$sth->finish;
			next;
		}
		$err .= "psql:<stdin>:$at: " . (($dbh->errstr // 'no answer') =~ s/\n(?=server closed)/\npsql:<stdin>:$at: /r) . "\n";
		if ($dbh->ping <= 0)
		{
			$err .= "psql:<stdin>:$at: error: connection to server was lost\n";
			$rc = 2;
			last;
		}
		next unless $stop;
		$rc = 3;
		last;
	}
	chomp($out, $err);
	return ($rc, $out, $err);
}

1;
