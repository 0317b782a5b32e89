//! The text of a scrape, in the form asked for.
//!
//! The crate writes `OpenMetrics`. The classic form differs in what it says of counters, whose name ends with
//! `_total` there already where they are described, and in that it has no end.

use std::fmt::{self, Write};

use actix_web::http::header::HeaderValue;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry};

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// That of Prometheus.
    Classic,
    /// That of `OpenMetrics` 1.0.
    Open,
}

impl Form {
    /// The form for who sent this `Accept` header.
    pub(super) fn asked_by(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if accept.contains("application/openmetrics-text") { Self::Open } else { Self::Classic }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Figures with their names, in order.
#[derive(Debug, Default)]
pub(super) struct Book(Registry);

impl Book {
    /// A figure of any kind.
    pub(super) fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.0.register(name, help, metric);
    }

    /// A figure that goes up and down.
    pub(super) fn gauge<V>(&mut self, name: &str, help: &str, value: V)
    where
        ConstGauge<V>: Metric,
    {
        self.add(name, help, ConstGauge::new(value));
    }

    /// A gauge for each of these labels.
    pub(super) fn gauges<L, V>(&mut self, name: &str, help: &str, each: impl IntoIterator<Item = (L, V)>)
    where
        Each<L, ConstGauge<V>>: Metric,
    {
        self.add(name, help, Each::of(each, ConstGauge::new));
    }

    /// A counter for each of these labels; `_total` is added to its name.
    pub(super) fn counters<L>(&mut self, name: &str, help: &str, each: impl IntoIterator<Item = (L, u64)>)
    where
        Each<L, ConstCounter>: Metric,
    {
        self.add(name, help, Each::of(each, ConstCounter::new));
    }

    /// All of it as text.
    pub(super) fn write(&self, form: Form) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(match form {
            Form::Open => text,
            Form::Classic => classic(&text)?,
        })
    }
}

/// A metric for each of some labels.
#[derive(Debug)]
pub(super) struct Each<L, M>(Vec<(L, M)>);

impl<L, M> Each<L, M> {
    fn of<V>(values: impl IntoIterator<Item = (L, V)>, metric: impl Fn(V) -> M) -> Self {
        Self(values.into_iter().map(|(labels, value)| (labels, metric(value))).collect())
    }
}

impl<L: EncodeLabelSet, M: EncodeMetric + TypedMetric> EncodeMetric for Each<L, M> {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        self.0.iter().try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The classic form of a text in the open one. The type of a counter follows its help.
fn classic(open: &str) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            let words = help.split_once(' ').map_or("", |(_, words)| words);
            writeln!(text, "# HELP {name}{suffix} {words}\n# TYPE {name}{suffix} {kind}")?;
        } else {
            writeln!(text, "{line}")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_of_counters_and_gauges() {
        let mut book = Book::default();
        book.counters("rows", "Rows", [([("outcome", "inserted")], 7)]);
        book.gauge("users", "Users", 3_u64);
        book.gauges("none", "Nothing", Vec::<([(&str, &str); 1], u64)>::new());
        assert_eq!(
            book.write(Form::Open).unwrap(),
            "# HELP rows Rows.\n# TYPE rows counter\nrows_total{outcome=\"inserted\"} 7\n\
             # HELP users Users.\n# TYPE users gauge\nusers 3\n# EOF\n"
        );
        assert_eq!(
            book.write(Form::Classic).unwrap(),
            "# HELP rows_total Rows.\n# TYPE rows_total counter\nrows_total{outcome=\"inserted\"} 7\n\
             # HELP users Users.\n# TYPE users gauge\nusers 3\n"
        );
    }

    #[test]
    fn the_open_form_is_for_those_who_ask_for_it() {
        let form = |accept| Form::asked_by(Some(&HeaderValue::from_static(accept)));
        assert_eq!(Form::asked_by(None), Form::Classic);
        assert_eq!(form("*/*"), Form::Classic);
        assert_eq!(form("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Form::Open);
    }
}
