/*
 * loop.c
 *		The reference: POSTs by a bare curl_multi loop, nothing around it.
 *
 * loop URL REQUESTS IN_FLIGHT BYTES: prints requests per second.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t
take(char *data, size_t size, size_t n, void *arg)
{
	return size * n;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	const char *url = argv[1];
	long		total = atol(argv[2]);
	int			in_flight = atoi(argv[3]);
	int			bytes = atoi(argv[4]);
	char	   *body = malloc(bytes);
	struct curl_slist *headers;
	CURLM	   *multi;
	long		started = 0;
	long		done = 0;
	double		begin;
	int			running;
	int			i;

	memset(body, 'x', bytes);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) in_flight);
	begin = now();
	for (i = 0; i < in_flight; i++)
	{
		CURL	   *easy = curl_easy_init();

		curl_easy_setopt(easy, CURLOPT_URL, url);
		curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) bytes);
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
		curl_multi_add_handle(multi, easy);
		started++;
	}
	while (done < total)
	{
		CURLMsg    *message;
		int			left;

		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &left)) != NULL)
		{
			long		status = 0;

			curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
			if (message->data.result != CURLE_OK || status != 200)
			{
				fprintf(stderr, "failed: %s, status %ld\n", curl_easy_strerror(message->data.result), status);
				return 1;
			}
			done++;
			curl_multi_remove_handle(multi, message->easy_handle);
			if (started < total)
			{
				curl_multi_add_handle(multi, message->easy_handle);
				started++;
			}
		}
		if (done < total)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	printf("%.0f\n", done / (now() - begin));
	return 0;
}
