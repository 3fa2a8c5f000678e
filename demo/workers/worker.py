#!/usr/bin/python3
"""A worker of an activity: takes tasks over SQL, does them side by side, says that it is alive.

    worker.py ACTIVITY        the server is that of libpq's variables (PGHOST, PGDATABASE, PGUSER ...)
    WORKER_NAME, WORKER_TASKS (at once: 4), WORKER_HEARTBEAT (seconds: 5)

SIGTERM: takes no more, finishes what it has, and ends. Needs python3-psycopg2 alone.
"""
import json, os, signal, socket, sys, threading, time
import psycopg2, psycopg2.errors, psycopg2.extras

ACTIVITY = sys.argv[1]
NAME = os.environ.get('WORKER_NAME', f'{socket.gethostname()}-{os.getpid()}')
HEARTBEAT = float(os.environ.get('WORKER_HEARTBEAT', 5))
places = threading.Semaphore(int(os.environ.get('WORKER_TASKS', 4)))
stopping = threading.Event()
running = set()  # tokens


def work(task):
    """Put your own work here. What it returns is the output of the state; what it raises is its error."""
    time.sleep(task.get('seconds', 0))
    if 'fail' in task:
        raise RuntimeError(task['fail'])
    return {'worker': NAME, 'result': task.get('number', 0) * 2}


class Server:
    """One connection, made again whenever it is lost. Each statement is a transaction of its own."""

    def __init__(self):
        self.connection, self.lock = None, threading.Lock()

    def call(self, statement, *arguments):
        with self.lock:
            for attempt in range(sys.maxsize):
                if self is taking and stopping.is_set():
                    return None
                try:
                    if self.connection is None:
                        self.connection = psycopg2.connect(application_name=NAME)
                        self.connection.autocommit = True
                    with self.connection.cursor() as cursor:
                        cursor.execute(statement, arguments)
                        return cursor.fetchone()
                except psycopg2.errors.QueryCanceled:
                    raise
                except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                    print(f'{NAME}: connecting again: {error}', file=sys.stderr, flush=True)
                    self.connection = None
                    time.sleep(min(0.1 * 2 ** attempt, 10))


taking, answering = Server(), Server()


def say(function, *arguments):
    """An answer or a heartbeat. One that comes too late is refused: somebody else has the task, or nobody wants it."""
    try:
        answering.call(f"SELECT saga.send_task_{function}({', '.join(['%s'] * len(arguments))})", *arguments)
    except psycopg2.Error as error:
        print(f'{NAME}: {function}: {error}', file=sys.stderr, flush=True)


def heartbeats():
    while True:
        time.sleep(HEARTBEAT)
        for token in list(running):
            say('heartbeat', token)


def do(token, task):
    try:
        answer = ('success', token, json.dumps(work(task)))
    except Exception as error:
        answer = ('failure', token, type(error).__name__, str(error))
    running.discard(token)
    say(*answer)
    places.release()


def stop_waiting():
    """Ends the wait: a task that was not handed out yet stays where it is. Again, as it may be just about to begin."""
    stopping.wait()
    while True:
        try:
            taking.connection.cancel()
        except (AttributeError, psycopg2.Error):
            pass
        time.sleep(0.5)


def main():
    psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)  # so that a signal interrupts a wait
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    for helper in heartbeats, stop_waiting:
        threading.Thread(target=helper, daemon=True).start()
    threads = []
    while not stopping.is_set():
        if not places.acquire(timeout=0.1):
            continue
        row = None
        try:
            row = taking.call('SELECT task_token, input FROM saga.get_activity_task(%s, %s)', ACTIVITY, NAME)
        except psycopg2.errors.QueryCanceled:
            pass
        if row is None:
            places.release()
            continue
        running.add(row[0])
        threads = [t for t in threads if t.is_alive()] + [threading.Thread(target=do, args=row)]
        threads[-1].start()
    for thread in threads:
        thread.join()


main()
