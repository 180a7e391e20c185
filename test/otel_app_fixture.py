"""An application that knows nothing of Telltale: OpenTelemetry's own SDK, set up by environment variables alone."""
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

traces = TracerProvider()
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = traces.get_tracer("app")
metrics = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
meter = metrics.get_meter("app")

called = {"mcp.method.name": "tools/call", "mcp.session.id": "s1", "gen_ai.tool.name": "add"}
with tracer.start_as_current_span("tools/call add", kind=SpanKind.SERVER, attributes=called):
    query = tracer.start_span("SELECT", kind=SpanKind.CLIENT, attributes={"db.system.name": "postgresql"})
    try:
        raise ValueError("no such sum")
    except ValueError as error:
        query.record_exception(error)
    query.end()

meter.create_counter("calls").add(1)
meter.create_histogram("took", unit="ms").record(12.5)
traces.shutdown()
metrics.shutdown()
