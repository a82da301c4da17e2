/* perf_server.h - a process whose threads touch a known number of fresh pages when they are told to, and a
 * session that counts its faults: what the tests of events on running tasks share. */
#ifndef PERF_SERVER_H
#define PERF_SERVER_H

#include "pmuflame/perf.h"

enum { THREADS = 8, PAGES = 100, ITERATIONS = 200000 };

/* Each of its threads does what a byte in its pipe says. */
struct server {
	pid_t pid;
	int to[THREADS], from; /* our ends */
	pid_t tids[THREADS];
};

void server_start(struct server *s);
void server_end(struct server *s);
/* Let thread @i of @s, or all one after another, do @what, and wait for it: 'p': touch PAGES pages; 't',
 * 'f': have a new thread or process do so; 'w': ITERATIONS of work. */
void ask(struct server *s, size_t i, char what);
void ask_all(struct server *s, char what);
void touch(size_t pages);

struct counting {
	struct pmf_event_list list;
	struct pmf_perf_session *session;
	uint64_t samples, weight, forks;
};

/* Count every page fault, or @event. A failure to open fails the test, or is returned. */
void counting_open(struct counting *c, struct pmf_perf_opts opts);
void counting_open_event(struct counting *c, const char *event, struct pmf_perf_opts opts);
int try_open(struct counting *c, struct pmf_perf_opts opts, struct pmf_err *err);
/* The total so far. */
uint64_t count(struct counting *c);
/* Count the records that came since the last time. */
void counting_drain(struct counting *c);
void counting_end(struct counting *c);
void counting_close(struct counting *c);

/* May this user count on whole CPUs? */
bool may_count_cpus(void);

#endif
