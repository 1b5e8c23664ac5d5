//! The text format of Prometheus.

use std::fmt::{Display, Write as _};

use super::{Counter, Distribution, Summary, Timer};

const PREFIX: &str = "kontiki_raft_";
const MICROS: f64 = 1e-6;

/// A page that grows line by line.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// How long something takes, in seconds.
    pub fn timer(&mut self, name: &str, help: &str, timer: &Timer) {
        self.summary(&format!("{name}_seconds"), help, &timer.summary(), |v| v as f64 * MICROS);
    }

    /// Sizes or numbers of something.
    pub fn distribution(&mut self, name: &str, help: &str, distribution: &Distribution) {
        self.summary(name, help, &distribution.summary(), |v| v as f64);
    }

    /// A number that only grows.
    pub fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.head(name, help, "counter");
        self.line(name, "", counter.get());
    }

    /// Begin a metric that has a value now, or one for each of several labels.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    /// A value of a metric; labels as `a="b"`, without braces.
    pub fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        self.line(name, &labels, value);
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.0
    }

    fn summary(&mut self, name: &str, help: &str, summary: &Summary, unit: impl Fn(u64) -> f64) {
        self.head(name, help, "summary");
        for (quantile, value) in Summary::QUANTILES.into_iter().zip(summary.quantiles) {
            self.line(name, &format!("{{quantile=\"{quantile}\"}}"), unit(value));
        }
        self.line(&format!("{name}_sum"), "", unit(summary.sum));
        self.line(&format!("{name}_count"), "", summary.count);
        let avg = unit(summary.sum) / summary.count.max(1) as f64;
        for (what, value) in [("min", unit(summary.min)), ("max", unit(summary.max)), ("avg", avg)]
        {
            let name = format!("{name}_{what}");
            self.head(&name, help, "gauge");
            self.line(&name, "", value);
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{PREFIX}{name}{labels} {value}");
    }
}
