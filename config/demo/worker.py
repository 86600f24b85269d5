#!/usr/bin/env python3
"""A worker for Deskhand in Python: the standard library only. Copy it, and put your own kinds into HANDLERS.

    DESKHAND_URL=http://127.0.0.1:8480 DESKHAND_TOKEN=dkh_... ./worker.py --queues images --concurrency 4

The protocol is told in docs/workers.md. In short: register; one thread beats; the main thread claims as many jobs as there are free
places; threads run them; what has ended is settled in batches. A stop (SIGTERM, Ctrl-C) lets what runs finish and gives back the rest.
"""

import argparse
import http.client
import json
import os
import queue
import signal
import socket
import threading
import time
import urllib.error
import urllib.request


class Retry(Exception):
    """Failed; again after the job's own back-off, or after so many milliseconds."""

    def __init__(self, reason, after_ms=None):
        super().__init__(reason)
        self.after_ms = after_ms


class Fail(Exception):
    """Cannot succeed: the job is dead now."""


class Lost(Exception):
    """The server took this worker for dead."""


def echo(job):
    return job.args


def wait(job):
    steps = 10
    for step in range(steps):
        if job.stop.wait(job.args.get("ms", 1000) / 1000 / steps):
            return None
        job.report(step + 1, steps)
    return {"waited_ms": job.args.get("ms", 1000)}


def flaky(job):
    if job.attempt <= job.args.get("times", 1):
        raise Retry(f"attempt {job.attempt} fails", after_ms=job.args.get("after_ms"))
    return {"attempt": job.attempt}


def crash(job):
    os._exit(1)  # as a segmentation fault or the OOM killer would


# What this worker can do: kind -> function. It returns the result, or raises.
HANDLERS = {"demo.echo": echo, "demo.wait": wait, "demo.flaky": flaky, "demo.crash": crash}


class Job:
    def __init__(self, worker, told):
        self.worker, self.id, self.lease = worker, told["id"], told["lease"]
        self.kind, self.args, self.attempt = told["kind"], told["args"], told["attempt"]
        self.headers, self.idempotency_key = told["headers"], told["idempotency_key"]
        self.stop = threading.Event()  # set when somebody cancelled the job, or it was taken back
        self.lines = 0

    def report(self, done, total=None, *lines):
        """Tells how far the job is. It matters to people only, so a failure is no reason to stop."""
        told = {"id": self.id, "lease": self.lease, "progress": {"done": done, "total": total}}
        told |= {"before": self.lines, "lines": list(lines)}
        try:
            self.worker.call("report", {"reports": [told]})
            self.lines += len(lines)
        except (OSError, http.client.HTTPException):
            pass

    def run(self):
        """Runs the job and says what happens next."""
        end = {"id": self.id, "lease": self.lease}
        handler = HANDLERS.get(self.kind)
        if handler is None:
            return end | {"outcome": "fail", "error": f"this worker does not know {self.kind}"}
        try:
            result = handler(self)
        except Fail as error:
            return end | {"outcome": "fail", "error": str(error)}
        except Retry as error:
            if error.after_ms is not None:
                return end | {"outcome": "retry_after", "error": str(error), "after_ms": error.after_ms}
            return end | {"outcome": "retry", "error": str(error)}
        except Exception as error:  # a mistake in the handler fails the attempt, not the worker
            return end | {"outcome": "retry", "error": f"{type(error).__name__}: {error}"}
        if self.stop.is_set() and result is None:
            return end | {"outcome": "hand_back"}
        return end | {"outcome": "done"} | ({} if result is None else {"result": result})


class Worker:
    def __init__(self, url, token, queues, concurrency):
        self.url, self.token, self.queues, self.concurrency = url.rstrip("/"), token, queues, concurrency
        self.stopping = threading.Event()

    # Requests.

    def request(self, method, path, body=None, timeout=30):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = answer.read()
                return json.loads(text)["data"] if text else None
        except urllib.error.HTTPError as error:
            problem = json.loads(error.read() or b"{}")
            if error.code in (404, 409):
                raise Lost(problem.get("detail")) from None
            if error.code >= 500 or error.code == 429:
                raise OSError(problem.get("detail")) from None
            raise SystemExit(f"the server refused: {problem.get('detail')}") from None

    def call(self, what, body, timeout=30):
        return self.request("POST", f"/api/v1/workers/{self.id}/{what}", body, timeout)

    def register(self):
        name = f"{socket.gethostname()}:{os.getpid()}"
        told = self.request(
            "POST", "/api/v1/workers", {"name": name, "queues": self.queues, "concurrency": self.concurrency}
        )
        self.id, self.beat_s = told["id"], told["beat_every_ms"] / 1000
        self.dead_after_s, self.wait_ms = told["dead_after_ms"] / 1000, min(5_000, told["longest_wait_ms"])
        self.alive, self.lost, self.ends = time.monotonic(), threading.Event(), queue.Queue()
        self.jobs, self.free = {}, self.concurrency  # by id, until their end is settled; free places
        self.changed = threading.Condition()  # guards both
        print(f"worker {self.id} serves {', '.join(self.queues)}", flush=True)

    # One thread each.

    def beat(self):
        """Says that this worker lives, and hears which jobs have to stop."""
        pause = self.beat_s
        while not self.lost.wait(pause):
            sent = time.monotonic()
            try:
                told = self.call("beat", {}, timeout=5)
            except Lost:
                break
            except (OSError, http.client.HTTPException):
                pause = 1
                # Nobody may run a job that somebody else has by now.
                if time.monotonic() - self.alive > self.dead_after_s:
                    break
                continue
            self.alive, pause = sent, told["next_beat_ms"] / 1000
            for id in told["stop"] + told["taken"]:
                with self.changed:
                    job = self.jobs.get(id)
                if job:
                    job.stop.set()
        self.lost.set()
        with self.changed:
            for job in self.jobs.values():
                job.stop.set()

    def work(self, job):
        """Runs one job."""
        self.ends.put(job.run())
        with self.changed:
            self.free += 1
            self.changed.notify_all()

    def settle(self):
        """Tells what has ended. What ends while a batch is under way is the next one."""
        while not self.lost.is_set():
            batch = [self.ends.get()]
            while len(batch) < 500 and not self.ends.empty():
                batch.append(self.ends.get())
            batch = [end for end in batch if end]  # None wakes this thread to see that all is over
            while batch and not self.lost.is_set():
                try:
                    answers = self.call("settle", {"results": batch})
                except Lost:
                    return
                except (OSError, http.client.HTTPException):
                    time.sleep(0.5)
                    continue
                with self.changed:
                    for told in answers:
                        if told["answer"] != "unanswered":
                            self.jobs.pop(told["id"], None)
                    self.changed.notify_all()
                batch = [end for end, told in zip(batch, answers) if told["answer"] == "unanswered"]

    def claim(self):
        """Takes as many jobs as there are free places, again and again."""
        failed = False
        while not self.stopping.is_set() and not self.lost.is_set():
            with self.changed:
                if not self.changed.wait_for(lambda: self.free > 0, timeout=0.5):
                    continue
                asked = {"max": min(self.free, 500), "wait_ms": self.wait_ms}
                if failed:
                    # The answer that did not arrive may have had jobs: the server gives back what is not among these.
                    asked["known"] = list(self.jobs)
            try:
                told, failed = self.call("claim", asked, timeout=self.wait_ms / 1000 + 10), False
            except Lost:
                return
            except (OSError, http.client.HTTPException):
                failed = True
                self.stopping.wait(1)
                continue
            for job in (Job(self, job) for job in told):
                with self.changed:
                    self.jobs[job.id] = job
                    self.free -= 1
                threading.Thread(target=self.work, args=(job,), daemon=True).start()

    def live(self):
        """One life: until the worker stops, or the server takes it for dead."""
        self.register()
        for target in (self.beat, self.settle):
            threading.Thread(target=target, daemon=True).start()
        self.claim()
        with self.changed:
            # What runs may finish, for a while.
            self.changed.wait_for(lambda: not self.jobs or self.lost.is_set(), timeout=20)
        if not self.lost.is_set():
            self.lost.set()
            self.ends.put(None)
            self.request("DELETE", f"/api/v1/workers/{self.id}")  # gives back the rest


def main():
    parser = argparse.ArgumentParser(description="A worker for Deskhand.")
    parser.add_argument("--queues", required=True, help="remote queues, divided by commas, the first first")
    parser.add_argument("--concurrency", type=int, default=4, help="how many jobs run at once")
    options = parser.parse_args()
    worker = Worker(
        os.environ.get("DESKHAND_URL", "http://127.0.0.1:8480"),
        os.environ["DESKHAND_TOKEN"],
        options.queues.split(","),
        options.concurrency,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    while not worker.stopping.is_set():
        try:
            worker.live()
        except Lost as error:
            print(error, flush=True)
        except (OSError, http.client.HTTPException) as error:
            print(f"the server does not answer: {error}", flush=True)
            worker.stopping.wait(2)


if __name__ == "__main__":
    main()
