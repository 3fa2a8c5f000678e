# Saga::Clock: a server whose clock the test sets. A library that is loaded before it moves the wall clock of all
# its processes; the monotonic clock is left alone.
#
#	use Saga::Clock;		# skips the test where there is no compiler
#	my $node = new_saga_node('clock', { start => 0 });
#	start_with_clock($node);
#	set_clock(-3600);		# seconds from the right time
package Saga::Clock;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_with_clock set_clock);

my $compiler = $ENV{CC} || 'cc';
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/shift.c", <<'C');
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Seconds, in a file that all processes have mapped. */
static volatile int64_t *shift;

__attribute__((constructor)) static void
map_shift(void)
{
	const char *file = getenv("SAGA_TEST_SHIFT");
	int			fd = file ? open(file, O_RDONLY) : -1;
	void	   *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		shift = map;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int			rc = (int) syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && shift && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += *shift;
	return rc;
}

int
gettimeofday(struct timeval *tv, void *tz)
{
	struct timespec t;

	(void) tz;
	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		return -1;
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}
C
plan skip_all => 'moves the clock of Linux' unless $^O eq 'linux';
plan skip_all => "no compiler ($compiler)"
  if system("$compiler -shared -fPIC -o $dir/shift.so $dir/shift.c >$dir/cc.log 2>&1") != 0;
set_clock(0);

# The mapped bytes are written in place: a new file would be another one.
sub set_clock
{
	my ($seconds) = @_;
	open(my $file, -e "$dir/shift" ? '+<' : '>', "$dir/shift") or die "could not open $dir/shift: $!";
	binmode $file;
	syswrite($file, pack('q', $seconds)) == 8 or die "could not write $dir/shift: $!";
	close $file;
	return;
}

sub start_with_clock
{
	my ($node) = @_;
	local $ENV{SAGA_TEST_SHIFT} = "$dir/shift";
	local $ENV{LD_PRELOAD} = "$dir/shift.so";
	return $node->start;
}

1;
