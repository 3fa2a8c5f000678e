/*
 * guard.c
 *		Which addresses a destination may connect to.
 *
 * Looked at after the name was resolved: no check of the URL's text could
 * replace it, as a name may resolve to anything, and differently next time.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/guard_private.h"

/* Private, local or special: nobody on the public internet. */
static const SagaCidr private_ranges[] = {
	{AF_INET, {0}, 8},
	{AF_INET, {10}, 8},
	{AF_INET, {100, 64}, 10},
	{AF_INET, {127}, 8},
	{AF_INET, {168, 63, 129, 16}, 32},	/* the host of virtual machines at Azure */
	{AF_INET, {169, 254}, 16},
	{AF_INET, {172, 16}, 12},
	{AF_INET, {192, 0, 0}, 24},
	{AF_INET, {192, 168}, 16},
	{AF_INET, {198, 18}, 15},
	{AF_INET, {224}, 3},		/* multicast, reserved, broadcast */
	{AF_INET6, {0}, 96},		/* unspecified, loopback, IPv4-compatible */
	{AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 96}, /* IPv4-translated */
	{AF_INET6, {0x00, 0x64, 0xff, 0x9b}, 32},	/* NAT64, well-known and local */
	{AF_INET6, {0x20, 0x01, 0, 0}, 32}, /* Teredo */
	{AF_INET6, {0x20, 0x02}, 16},	/* 6to4 */
	{AF_INET6, {0xfc}, 7},		/* unique local */
	{AF_INET6, {0xfe, 0x80}, 10},	/* link local */
	{AF_INET6, {0xfe, 0xc0}, 10},	/* site local */
	{AF_INET6, {0xff}, 8}		/* multicast */
};

bool
saga_cidr_parse(const char *text, SagaCidr *cidr)
{
	char		address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t		len = slash ? slash - text : strlen(text);
	int			max;

	if (len == 0 || len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	memset(cidr, 0, sizeof(*cidr));
	cidr->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(cidr->family, address, cidr->address) != 1)
		return false;
	max = (cidr->family == AF_INET) ? 32 : 128;
	cidr->bits = max;
	if (slash != NULL)
	{
		char	   *end;
		long		bits = strtol(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > max)
			return false;
		cidr->bits = (int) bits;
	}
	return true;
}

/* Is the address in this range? */
static bool
covers(const SagaCidr *cidr, int family, const unsigned char *address)
{
	int			whole = cidr->bits / 8;
	int			rest = cidr->bits % 8;

	if (cidr->family != family || memcmp(cidr->address, address, whole) != 0)
		return false;
	return rest == 0 || ((cidr->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

/* Is it in one of these ranges? */
static bool
covered(const SagaCidr *ranges, int nranges, int family, const unsigned char *address)
{
	int			i;

	for (i = 0; i < nranges; i++)
	{
		if (covers(&ranges[i], family, address))
			return true;
	}
	return false;
}

/*
 * The rule itself: private addresses need leave, and so does any when only
 * those that are named are allowed.
 */
static bool
allows(const SagaGuard *guard, int family, const unsigned char *address)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (guard->allow_all)
		return true;
	/* ::ffff:a.b.c.d reaches a.b.c.d */
	if (family == AF_INET6 && memcmp(address, mapped, sizeof(mapped)) == 0)
	{
		family = AF_INET;
		address += sizeof(mapped);
	}
	if (guard->only)
		return covered(guard->allowed, guard->nallowed, family, address);
	return !covered(private_ranges, lengthof(private_ranges), family, address) ||
		covered(guard->allowed, guard->nallowed, family, address);
}

bool
saga_guard_allows(const SagaGuard *guard, const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return allows(guard, AF_INET,
					  (const unsigned char *) &((const struct sockaddr_in *) address)->sin_addr);
	if (address->sa_family == AF_INET6)
		return allows(guard, AF_INET6,
					  (const unsigned char *) &((const struct sockaddr_in6 *) address)->sin6_addr);
	return false;
}

bool
saga_guard_allows_text(const SagaGuard *guard, const char *ip)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, ip, address) == 1)
		return allows(guard, AF_INET, address);
	if (inet_pton(AF_INET6, ip, address) == 1)
		return allows(guard, AF_INET6, address);
	return false;
}
