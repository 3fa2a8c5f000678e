#!/usr/bin/python3
"""worker.py ACTIVITY: takes tasks over SQL, does them side by side, says that it is alive; ends by SIGTERM.
The server is that of PGHOST, PGDATABASE, PGUSER; WORKER_NAME, WORKER_TASKS (at once: 4), WORKER_HEARTBEAT (seconds: 5)."""
import json, os, signal, socket, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import psycopg2, psycopg2.errors, psycopg2.extras

NAME = os.environ.get('WORKER_NAME', f'{socket.gethostname()}-{os.getpid()}')
TASKS = int(os.environ.get('WORKER_TASKS', 4))
places, stopping, running = threading.Semaphore(TASKS), threading.Event(), set()


def work(task):
    """Put your own work here. What it returns is the output of the state; what it raises is its error."""
    time.sleep(task.get('seconds', 0))
    if 'fail' in task:
        raise RuntimeError(task['fail'])
    return {'worker': NAME, 'result': task.get('number', 0) * 2}


class Server:
    """One connection, made again whenever it is lost. Each statement is a transaction of its own."""
    connection = None

    def __init__(self):
        self.lock = threading.Lock()

    def call(self, function, *arguments):
        wait = 0.1
        with self.lock:
            while self is answering or not stopping.is_set():
                try:
                    if self.connection is None:
                        self.connection = psycopg2.connect(application_name=NAME)
                        self.connection.autocommit = True
                    with self.connection.cursor() as cursor:
                        cursor.execute(f"SELECT * FROM saga.{function}({', '.join(['%s'] * len(arguments))})", arguments)
                        return cursor.fetchone()
                except psycopg2.errors.QueryCanceled:
                    if self is answering:
                        raise
                except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                    print(f'{NAME}: connecting again: {error}', file=sys.stderr, flush=True)
                    self.connection = None
                    time.sleep(wait)
                    wait = min(2 * wait, 10)

    def say(self, what, *arguments):
        """An answer or a heartbeat. One that comes too late is refused: somebody else has the task, or nobody wants it."""
        try:
            self.call(f'send_task_{what}', *arguments)
        except psycopg2.Error as error:
            print(f'{NAME}: {what}: {error}', file=sys.stderr, flush=True)


taking, answering = Server(), Server()


def do(token, task):
    try:
        answer = 'success', token, json.dumps(work(task))
    except Exception as error:
        answer = 'failure', token, type(error).__name__, str(error)
    running.discard(token)
    answering.say(*answer)
    places.release()


def beat():
    while not time.sleep(float(os.environ.get('WORKER_HEARTBEAT', 5))):
        for token in list(running):
            answering.say('heartbeat', token)


def stop_waiting():
    """Ends the wait: a task that was not handed out yet stays where it is. Again, as it may be just about to begin."""
    while stopping.wait() and not time.sleep(0.1):
        try:
            taking.connection.cancel()
        except (AttributeError, psycopg2.Error):
            pass


psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)  # so that a signal interrupts a wait
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
for helper in beat, stop_waiting:
    threading.Thread(target=helper, daemon=True).start()
with ThreadPoolExecutor(TASKS) as pool:
    while not stopping.is_set():
        if places.acquire(timeout=0.1):
            row = taking.call('get_activity_task', sys.argv[1], NAME)
            if row is None:
                places.release()
            else:
                running.add(row[0])
                pool.submit(do, *row)
