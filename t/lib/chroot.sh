# What runs in a machine of its own: Debian suites in directories, made with debootstrap. For t/check-deb and
# t/check-matrix, which source t/lib/common.sh first. Needs root.
#
# SAGA_CHROOTS=/var/tmp/saga-chroots   where new suites are kept, to be copied (remove it to have them made anew)

CHROOTS=${SAGA_CHROOTS:-/var/tmp/saga-chroots}

# Where this machine gets Debian from.
mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
		awk '{ print $1 }' | sort -u | grep -v security | head -n 1
}

# base SUITE: prints the directory of the new suite.
base()
{
	local dir=$CHROOTS/$1
	if ! [ -e "$dir.made" ]; then
		command -v debootstrap >/dev/null || as_root apt-get install -y -qq --no-install-recommends debootstrap >&2 || return 1
		umount_all "$dir"
		rm -rf "$dir"
		mkdir -p "$CHROOTS"
		debootstrap --variant=minbase --include=ca-certificates "$1" "$dir" "$(mirror)" >"$dir.log" 2>&1 ||
			{ tail -n 20 "$dir.log" >&2; return 1; }
		: >"$dir.made"
	fi
	echo "$dir"
}

# new_chroot SUITE DIR: a copy, with what programs expect of a machine. Nothing starts there by itself.
new_chroot()
{
	local from
	from=$(base "$1") || return 1
	cp -a "$from" "$2" || return 1
	printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
	chmod 755 "$2/usr/sbin/policy-rc.d"
	# what is thrown away need not survive a crash
	echo force-unsafe-io >"$2/etc/dpkg/dpkg.cfg.d/unsafe"
	if [ -e /etc/apt/apt.conf.d ]; then cp -a /etc/apt/apt.conf.d/. "$2/etc/apt/apt.conf.d/"; fi
	mount -t proc proc "$2/proc" && mount --rbind /dev "$2/dev" && mount --make-rslave "$2/dev" || return 1
	cp /etc/resolv.conf "$2/etc/resolv.conf" 2>/dev/null
	# whom this machine trusts besides
	if [ -e /usr/local/share/ca-certificates ]; then cp -R /usr/local/share/ca-certificates "$2/usr/local/share/"; fi
	in_chroot "$2" update-ca-certificates >/dev/null && in_chroot "$2" apt-get update -qq
}

# in_chroot DIR COMMAND...: without the settings of this machine, but for its way out.
in_chroot()
{
	local dir=$1
	shift
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
		chroot "$dir" "$@"
}

umount_all()
{
	local m
	awk -v d="$1/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do umount -l "$m"; done
}

# What is still mounted below it is not removed with it.
remove_chroot()
{
	umount_all "$1"
	if grep -qF " $1/" /proc/mounts; then warn "something is mounted below $1: it stays"; return; fi
	rm -rf "$1"
}
