"""What telltale.py and OpenTelemetry's SDK for Python cost a host, in turns in one process. Run by python_cost.ts.

Arguments: the address that takes batches, the address that takes OTLP.
"""

import gc
import json
import os
import statistics
import sys
import threading
import time
import tracemalloc

os.environ["TELLTALE_OUTBOX_DIR"] = "none"

import telltale
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

ingest_url, otlp_url = sys.argv[1:3]
SPANS = 10_000
ROUNDS = 7


class Silent(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS

    def shutdown(self):
        pass


def ours(reporter):
    def record():
        for i in range(SPANS):
            span = reporter.start_trace("tools/call echo", "tool", tool="echo", request_id=str(i))
            span.end(bytes_in=100, bytes_out=200, attributes={"mcp.method.name": "tools/call"})

    return record


def theirs(tracer):
    def record():
        for i in range(SPANS):
            span = tracer.start_span("tools/call echo")
            span.set_attributes({"layer": "tool", "gen_ai.tool.name": "echo", "jsonrpc.request.id": str(i)})
            span.set_attributes({"mcp.method.name": "tools/call", "bytes_in": 100, "bytes_out": 200})
            span.end()

    return record


def reporter_to(url):
    options = {"env": {}, "ingest_url": url, "ingest_key": "k", "outbox_dir": "none", "records_max": 2 * SPANS}
    return telltale.Reporter(bytes_max=64 << 20, retry_ms=600_000, flush_at_exit=False, warn=lambda line: None, **options)


def tracer_to(exporter, batch_max=500):
    processor = BatchSpanProcessor(
        exporter, max_queue_size=2 * SPANS, max_export_batch_size=batch_max, schedule_delay_millis=600_000
    )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider.get_tracer("bench"), processor


def hot_ns(record):
    gc.collect()
    began = time.thread_time_ns()
    record()
    return (time.thread_time_ns() - began) / SPANS


def whole(record, flush):
    """µs of CPU a span, with encoding and sending, and the longest ms that the host stood still while that was sent: in CPU
    time of the process, since a thread that waits for the interpreter's lock waits for one that runs, and what else the
    machine does would be measured too."""
    gc.collect()
    began = time.process_time_ns()
    record()
    done = threading.Event()
    thread = threading.Thread(target=lambda: (flush(), done.set()))
    thread.start()
    thread.join()
    cpu = (time.process_time_ns() - began) / SPANS / 1_000
    record()
    done.clear()
    thread = threading.Thread(target=lambda: (flush(), done.set()))
    thread.start()
    longest, before = 0, time.process_time_ns()
    while not done.is_set():
        now = time.process_time_ns()
        longest, before = max(longest, now - before), now
    thread.join()
    return cpu, longest / 1e6


def retained(record):
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    record()
    gc.collect()
    bytes_ = (tracemalloc.get_traced_memory()[0] - before) / SPANS
    tracemalloc.stop()
    return bytes_


silent_tracer, silent = tracer_to(Silent())
sent_tracer, sent = tracer_to(OTLPSpanExporter(endpoint=otlp_url))
reporter = reporter_to(ingest_url)
figures = {"hot": ([], []), "cpu": ([], []), "block": ([], [])}
for _ in range(ROUNDS):
    # Nothing is sent meanwhile: the sender waits for its backoff, and OpenTelemetry's for its schedule.
    unsent = reporter_to("http://127.0.0.1:9/")
    unsent._courier._blocked_until = float("inf")
    figures["hot"][0].append(hot_ns(ours(unsent)))
    unsent._courier.stopped = True
    unsent._courier.wake()
    figures["hot"][1].append(hot_ns(theirs(silent_tracer)))
    silent.force_flush()
    for place, (record, flush) in enumerate(
        ((ours(reporter), lambda: reporter.flush(60)), (theirs(sent_tracer), sent.force_flush))
    ):
        cpu, block = whole(record, flush)
        figures["cpu"][place].append(cpu)
        figures["block"][place].append(block)
kept = reporter_to("http://127.0.0.1:9/")
kept._courier._blocked_until = float("inf")
bytes_ours, bytes_theirs = retained(ours(kept)), retained(theirs(tracer_to(Silent(), 2 * SPANS)[0]))
status = reporter.status()
assert status["waiting"] == 0 and status["stored"] == status["recorded"], status
began = time.perf_counter_ns()
off = telltale.Reporter(env={})
for _ in range(100_000):
    off.start_trace("t")
disabled = (time.perf_counter_ns() - began) / 100_000
medians = {name: [statistics.median(each) for each in both] for name, both in figures.items()}
print(json.dumps({**medians, "bytes": [bytes_ours, bytes_theirs], "disabled": disabled, "python": sys.version.split()[0]}))
os._exit(0)
