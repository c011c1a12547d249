"""metrics_text: PrometheusExporter's texts to the letter, upstream's own cases first."""

from __future__ import annotations

from jupyter_tfserve.dataplane.metrics import Metric, MetricKind
from jupyter_tfserve.dataplane.metrics_cells import Histogram
from jupyter_tfserve.dataplane.metrics_text import metrics_page


def page(*metrics: Metric) -> str:
    return metrics_page(metrics).decode()


def counter(name: str = "/test/path/total", labels=("name",), cells=None) -> Metric:
    return Metric(name, MetricKind.COUNTER, labels, {("abc",): 2} if cells is None else cells)


def test_counter_is_written_with_its_labels():
    """Upstream's Counter."""
    assert page(counter()) == '# TYPE :test:path:total counter\n:test:path:total{name="abc"} 2\n'


def test_gauge_without_labels_has_braces_all_the_same():
    """Upstream's Gauge."""
    metric = Metric("/test/path/value", MetricKind.GAUGE, (), {(): 5})
    assert page(metric) == "# TYPE :test:path:value gauge\n:test:path:value{} 5\n"


def test_histogram_counts_a_sample_in_the_next_bucket_when_it_equals_a_limit():
    """Upstream's Histogram: limits are exclusive."""
    histogram = Histogram((1.0, 2.0, 4.0))
    for sample in (1.5, 2.0, 10.0):
        histogram.add(sample)
    metric = Metric("/test/path/hist", MetricKind.HISTOGRAM, ("type",), {("x",): histogram})
    assert page(metric).splitlines() == [
        "# TYPE :test:path:hist histogram",
        ':test:path:hist_bucket{type="x",le="1"} 0',
        ':test:path:hist_bucket{type="x",le="2"} 1',
        ':test:path:hist_bucket{type="x",le="4"} 2',
        ':test:path:hist_bucket{type="x",le="+Inf"} 3',
        ':test:path:hist_sum{type="x"} 13.5',
        ':test:path:hist_count{type="x"} 3',
    ]


def test_label_value_is_escaped_when_it_has_signs_of_the_format():
    """Upstream's SanitizeLabelValue, and a line end, which would forge lines."""
    text = page(counter(cells={('a"b\\c\nd',): 1}))
    assert text.splitlines()[1] == ':test:path:total{name="a\\"b\\\\c\\nd"} 1'


def test_label_name_has_underscores_when_it_has_other_signs():
    """Upstream's SanitizeLabelName."""
    assert page(counter(labels=("my-label.2",))).splitlines()[1] == ':test:path:total{my_label_2="abc"} 2'


def test_metric_name_gets_an_underscore_when_it_begins_with_a_digit():
    """Upstream's SanitizeMetricName."""
    assert page(counter("0/path/total_count")).splitlines()[0] == "# TYPE _0:path:total_count counter"


def test_metric_has_its_type_line_when_nothing_was_counted():
    assert page(counter(cells={})) == "# TYPE :test:path:total counter\n"


def test_help_is_written_when_the_metric_has_one():
    metric = Metric("ours", MetricKind.GAUGE, (), {(): 0.25}, "What it is")
    assert page(metric) == "# HELP ours What it is\n# TYPE ours gauge\nours{} 0.25\n"


def test_numbers_have_six_digits_when_they_are_no_counts():
    histogram = Histogram((188.95680000000002, 1474757891.5))
    histogram.add(1234567.0)
    text = page(Metric("h", MetricKind.HISTOGRAM, (), {(): histogram}))
    assert text.splitlines()[1:5] == [
        'h_bucket{le="188.957"} 0',
        'h_bucket{le="1.47476e+09"} 1',
        'h_bucket{le="+Inf"} 1',
        "h_sum{} 1.23457e+06",
    ]


def test_page_is_utf8_when_a_label_is_no_text():
    assert metrics_page([counter(cells={("\udcff",): 1})]).splitlines()[1] == b':test:path:total{name="?"} 1'
