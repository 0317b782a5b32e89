"""Reads a scrape as Prometheus' own client library does; says which samples it has, as JSON.

Usage: check_metrics.py classic|open < text
"""

import json
import sys

from prometheus_client.openmetrics import parser as open_form
from prometheus_client import parser as classic_form

form = {"classic": classic_form, "open": open_form}[sys.argv[1]]
families = list(form.text_string_to_metric_families(sys.stdin.read()))
samples = [
    {"family": family.name, "type": family.type, "name": sample.name, "labels": sample.labels, "value": sample.value}
    for family in families
    for sample in family.samples
]
print(json.dumps(samples))
