/*
 * sockets.c
 *		The sockets that libcurl waits for, in an epoll set.
 *
 * libcurl takes a connection out of the set when a request has ended and puts
 * it in again for the next one.  So what is taken out stays in the set until
 * an event comes that nobody wants: the server has closed an idle connection.
 * A descriptor that was closed has left the set by itself, and its number may
 * be another socket's by now; the kernel says so when it is wanted again.
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sockets_private.h"

bool
saga_sockets_open(SagaSockets *sockets)
{
	sockets->sockets = NULL;
	sockets->size = 0;
	sockets->epoll = epoll_create1(EPOLL_CLOEXEC);
	return sockets->epoll >= 0;
}

void
saga_sockets_close(SagaSockets *sockets)
{
	if (sockets->epoll >= 0)
		close(sockets->epoll);
	free(sockets->sockets);
}

/* NULL: no memory. */
static SagaSocket *
get(SagaSockets *sockets, int fd)
{
	if (fd >= sockets->size)
	{
		int			size = Max(fd + 1, Max(64, sockets->size * 2));
		SagaSocket *larger = realloc(sockets->sockets, sizeof(SagaSocket) * size);

		if (larger == NULL)
			return NULL;
		memset(larger + sockets->size, 0, sizeof(SagaSocket) * (size - sockets->size));
		sockets->sockets = larger;
		sockets->size = size;
	}
	return &sockets->sockets[fd];
}

/* Changes what the epoll set waits for on a socket. */
static bool
control(SagaSockets *sockets, int op, int fd, uint32 events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(sockets->epoll, op, fd, &event) == 0;
}

bool
saga_socket_want(SagaSockets *sockets, int fd, uint32 events)
{
	SagaSocket *socket = get(sockets, fd);

	if (socket == NULL)
		return false;
	socket->wanted = events;
	if (events == 0)
	{
		/* that it can be written to would be an event at once */
		if ((socket->set & EPOLLOUT) != 0)
		{
			socket->set = 0;
			(void) control(sockets, EPOLL_CTL_DEL, fd, 0);
		}
		return true;
	}
	if (socket->set != 0 && control(sockets, EPOLL_CTL_MOD, fd, events))
	{
		socket->set = events;
		return true;
	}
	socket->set = events;
	return control(sockets, EPOLL_CTL_ADD, fd, events);
}

bool
saga_socket_is_wanted(SagaSockets *sockets, int fd)
{
	SagaSocket *socket = get(sockets, fd);

	if (socket == NULL || socket->wanted != 0)
		return true;
	socket->set = 0;
	(void) control(sockets, EPOLL_CTL_DEL, fd, 0);
	return false;
}

/*
 * What a server says while nothing is asked would be read as the beginning of
 * the next answer.  libcurl finds a connection dead that was shut down here,
 * and takes another one.
 */
void
saga_socket_hang_up(int fd)
{
	char		byte;

	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		(void) shutdown(fd, SHUT_RDWR);
}
