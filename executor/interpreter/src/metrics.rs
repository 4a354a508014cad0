//! User metrics: plain Python objects, read after each command that ran their function.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use udfleet_proto::config::METRIC_ENABLED;
use udfleet_proto::v1::{FunctionDefinition, FunctionUserMetrics, MetricGroup, UserMetric};

/// The metrics of one function.
pub struct Metrics {
    group: Py<PyAny>,
    /// What the group holds: while both are empty nothing is asked.
    held: [Py<PyDict>; 2],
}

impl Metrics {
    /// `None` where metrics are off.
    pub fn of(py: Python<'_>, definition: &FunctionDefinition) -> PyResult<Option<Self>> {
        if !METRIC_ENABLED.boolean(&definition.config) {
            return Ok(None);
        }
        // Only functions that are opened are given a group, and those import the SDK anyway.
        let Ok(module) = py.import("udfleet.metrics") else { return Ok(None) };
        let group = module.getattr("MetricGroup")?.call0()?;
        let dict = |name: &str| -> PyResult<Py<PyDict>> { Ok(group.getattr(name)?.cast_into::<PyDict>()?.unbind()) };
        Ok(Some(Self { held: [dict("_metrics")?, dict("_groups")?], group: group.unbind() }))
    }

    /// The root of the function's metrics.
    pub fn group<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.group.bind(py).clone()
    }

    /// Those that have changed since they were last asked for.
    pub fn changed(&self, py: Python<'_>, function: u32) -> PyResult<Option<FunctionUserMetrics>> {
        if self.held.iter().all(|dict| dict.bind(py).is_empty()) {
            return Ok(None);
        }
        let snapshot = self.group.bind(py).call_method1(intern!(py, "snapshot"), (true,))?.cast_into::<PyList>()?;
        let metrics = snapshot.iter().map(|metric| read(&metric)).collect::<PyResult<Vec<_>>>()?;
        Ok((!metrics.is_empty()).then_some(FunctionUserMetrics { function, metrics }))
    }
}

/// Text that need not be Unicode: lone surrogates are replaced.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.cast::<PyString>()?.to_string_lossy().into_owned())
}

fn group(pair: &Bound<'_, PyAny>) -> PyResult<MetricGroup> {
    Ok(MetricGroup { name: text(&pair.get_item(0)?)?, value: text(&pair.get_item(1)?)? })
}

/// The fields of a UserMetric, in its order.
fn read(metric: &Bound<'_, PyAny>) -> PyResult<UserMetric> {
    let fields = metric.cast::<PyTuple>()?;
    Ok(UserMetric {
        groups: fields.get_item(0)?.try_iter()?.map(|pair| group(&pair?)).collect::<PyResult<_>>()?,
        name: text(&fields.get_item(1)?)?,
        kind: fields.get_item(2)?.extract()?,
        count: fields.get_item(3)?.extract()?,
        sum: fields.get_item(4)?.extract()?,
        min: fields.get_item(5)?.extract()?,
        max: fields.get_item(6)?.extract()?,
        value: fields.get_item(7)?.extract()?,
        unix_ms: fields.get_item(8)?.extract()?,
        span_seconds: fields.get_item(9)?.extract()?,
        positive: fields.get_item(10)?.extract()?,
        positive_count: fields.get_item(11)?.extract()?,
        negative: fields.get_item(12)?.extract()?,
        negative_count: fields.get_item(13)?.extract()?,
        zeros: fields.get_item(14)?.extract()?,
    })
}
