/*
 * random_private.h
 *		Random numbers of dry runs: the same ones every time.
 */
#ifndef SAGA_RANDOM_PRIVATE_H
#define SAGA_RANDOM_PRIVATE_H

/* splitmix64 */
static inline uint64
saga_splitmix64(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#endif							/* SAGA_RANDOM_PRIVATE_H */
