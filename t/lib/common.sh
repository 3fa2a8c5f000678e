# Shell functions of t/deps, t/check and demo/run. Sourced, never run.

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() { warn "$*"; exit 1; }

# Run a command as root: directly, or through sudo where that asks nothing.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		sudo "$@"
	else
		warn "\"$*\" needs root: run it as root, or install sudo"
		return 1
	fi
}

# Does this pg_config belong to a server that can be started, and built against unless nothing is to be built?
pg_config_ok()
{
	local pgxs bin
	pgxs=$("$1" --pgxs 2>/dev/null) && [ -f "$pgxs" ] &&
		bin=$("$1" --bindir) && [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] &&
		{ [ -n "${NOBUILD:-}" ] || [ -f "$("$1" --includedir-server)/postgres.h" ]; }
}

# The pg_config to use: $PG_CONFIG when set, else the one on PATH, else the newest that Debian's
# packages have put aside. Prints its path.
find_pg_config()
{
	local c
	if [ -n "${PG_CONFIG:-}" ] && [ "$PG_CONFIG" != pg_config ]; then
		pg_config_ok "$PG_CONFIG" && command -v "$PG_CONFIG"
		return
	fi
	for c in pg_config $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV); do
		if pg_config_ok "$c"; then
			command -v "$c"
			return 0
		fi
	done
	return 1
}

# PostgreSQL refuses to run as root. Sets SERVER_USER (the caller, or an unprivileged account) and
# the array AS_SERVER, the words to put before a command to run it as that user.
set_server_user()
{
	local uid gid
	AS_SERVER=()
	SERVER_USER=$(id -un)
	[ "$(id -u)" = 0 ] || return 0
	for SERVER_USER in ${SAGA_USER:-} postgres nobody; do
		if uid=$(id -u "$SERVER_USER" 2>/dev/null) && [ "$uid" != 0 ]; then
			gid=$(id -g "$SERVER_USER")
			AS_SERVER=(setpriv --reuid="$uid" --regid="$gid" --init-groups)
			return 0
		fi
	done
	die "PostgreSQL does not run as root and there is no unprivileged account: set SAGA_USER"
}

# Build with $1 = pg_config what is in $2 (here), and install it.
build_and_install()
{
	local pgc=$1 of=${2:-.} dir jobs
	jobs=$(nproc 2>/dev/null || echo 2)
	# The jobserver and the flags of a calling make are not for these.
	unset MAKEFLAGS MFLAGS MAKELEVEL
	make -s -C "$of" -j "$jobs" PG_CONFIG="$pgc" all || return 1
	for dir in "$("$pgc" --pkglibdir)" "$("$pgc" --sharedir)/extension"; do
		if [ ! -w "$dir" ]; then
			as_root make -s -C "$of" PG_CONFIG="$pgc" install
			return
		fi
	done
	make -s -C "$of" PG_CONFIG="$pgc" install
}

# Copy the parts of the tree that tests need, and ../shared, to $1, for the server's user: it may
# not be allowed to read the clone.
copy_tree()
{
	local to=$1 f
	mkdir -p "$to/src"
	for f in sql expected specs t test demo docs bench container debian engineering fuzz terraform tools upgrade Makefile META.json LICENSE *.md *.control; do
		if [ -e "$f" ]; then cp -R "$f" "$to/"; fi
	done
	rm -f "$to"/test/*/*.o "$to"/test/*/*.so
	tar -cf - --exclude='*.o' --exclude='*.bc' src | tar -xf - -C "$to"
}

copy_shared()
{
	local from=$1 to=$2 f
	mkdir -p "$to"
	for f in "$from"/*; do
		case ${f##*/} in
			sealed) ;;
			*) cp -R "$f" "$to/" ;;
		esac
	done
}

# The processes that work below directory $1: ours are known by their current directory. One find,
# not a loop of readlink, for machines with very many processes.
processes_below()
{
	find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' \
		\( -lname "$1" -o -lname "$1/*" -o -lname "$1 (deleted)" \) 2>/dev/null |
		sed -e 's,^/proc/,,' -e 's,/cwd$,,' | grep -vx $$
}

# End every process that works below directory $1: servers by an immediate stop, which frees their
# shared memory, what is left after five seconds by force.
reap_below()
{
	local f pid n
	if [ -z "$(processes_below "$1")" ]; then return 0; fi
	find "$1" -name postmaster.pid 2>/dev/null | while read -r f; do
		pid=$(head -n 1 "$f" 2>/dev/null)
		case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
			"$1"/*) kill -QUIT "$pid" 2>/dev/null ;;
		esac
	done
	for pid in $(processes_below "$1"); do
		case $(cat "/proc/$pid/comm" 2>/dev/null) in
			postgres) ;;
			*) kill -TERM "$pid" 2>/dev/null ;;
		esac
	done
	for n in $(seq 50); do
		if [ -z "$(processes_below "$1")" ]; then return 0; fi
		sleep 0.1
	done
	processes_below "$1" | xargs -r kill -KILL 2>/dev/null
	return 0
}
