/*
 * sockets_private.h
 *		The sockets that libcurl waits for, in an epoll set.
 */
#ifndef SAGA_NET_SOCKETS_PRIVATE_H
#define SAGA_NET_SOCKETS_PRIVATE_H

typedef struct SagaSocket
{
	uint32		wanted;			/* epoll events, 0: none */
	uint32		set;			/* those in the epoll set, unless it was closed since */
} SagaSocket;

typedef struct SagaSockets
{
	int			epoll;
	SagaSocket *sockets;		/* by descriptor */
	int			size;
} SagaSockets;

/* None of them raises: they are called from libcurl's callbacks.  False: see errno. */
extern bool saga_sockets_open(SagaSockets *sockets);
extern void saga_sockets_close(SagaSockets *sockets);

/* From now on these epoll events are wanted of it, 0: none. */
extern bool saga_socket_want(SagaSockets *sockets, int fd, uint32 events);

/* There is an event.  False: nobody wants it, and it is taken out of the set. */
extern bool saga_socket_is_wanted(SagaSockets *sockets, int fd);

/* One that nobody wants, with an event: it is of no use any more. */
extern void saga_socket_hang_up(int fd);

#endif							/* SAGA_NET_SOCKETS_PRIVATE_H */
