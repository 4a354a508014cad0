//! What a stream calls: a function, or a stage of several.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{DataType as Arrow, Schema, SchemaRef};
use bytes::Bytes;
use udfleet_proto::config::{BUNDLE_SIZE, BUNDLE_TIME, CALL_TIMEOUT, MAX_ATTEMPTS, METRIC_ENABLED, max_attempts};
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::name::versioned;
use udfleet_proto::types::{arrow_field, arrow_type};
use udfleet_proto::v1::{
    DataType, ErrorCode, ExchangeRequest, FunctionDefinition, FunctionKind, NamedUserMetrics, OnError, Stage,
};

use super::bundle::{Bounds, Bundles};
use super::client_stream::{BatchIdentity, ClientStream};
use super::merge::Merger;
use super::served::ServedFunction;
use crate::capsules::CapsuleRule;
use crate::link::{Demand, Pool};
use crate::metrics::FunctionStats;

/// A function's counters.
#[derive(Debug)]
pub(super) struct Counted {
    /// `add@3`
    pub(super) name: String,
    pub(super) stats: Arc<FunctionStats>,
    /// `python.metric.enabled`
    pub(super) metrics: bool,
}

/// A callable thing with everything that a stream needs to call it.
#[derive(Debug)]
pub(super) struct Target {
    /// For errors: `add@3`; of a stage its functions, separated by commas.
    pub(super) name: String,
    pub(super) executor: String,
    /// Its number in the interpreters.
    pub(super) number: u32,
    /// StageSpec; empty for a function.
    pub(super) stage: Bytes,
    /// Whose turn its calls take, and the functions that an interpreter must serve.
    pub(super) demand: Demand,
    /// By slot.
    pub(super) functions: Vec<Arc<Counted>>,
    pub(super) pool: Arc<Pool>,
    /// Declared input types; `None` accepts any columns.
    pub(super) inputs: Option<Vec<(DataType, Arrow)>>,
    pub(super) results: SchemaRef,
    /// The result's schema message, ready to send.
    pub(super) result_schema: Bytes,
    pub(super) timeout_ms: u64,
    pub(super) max_attempts: u64,
    /// The same input gives the same output, in the same order.
    pub(super) deterministic: bool,
    /// It aggregates its whole input before it gives anything: one interpreter takes the whole stream.
    pub(super) pipeline_breaker: bool,
    /// Where small batches of several streams may go together.
    pub(super) merger: Option<Merger>,
    /// What is kept of batches that fail.
    pub(super) capsules: Option<CapsuleRule>,
    /// It keeps state: bundles of streams call it, and nothing else.
    keyed: bool,
    /// A scalar function whose result can't be null.
    not_null: Option<String>,
    bundles: Bounds,
}

fn not_null(definition: &FunctionDefinition) -> bool {
    definition.kind() == FunctionKind::Scalar && definition.result_type.as_ref().is_some_and(|result| result.not_null)
}

fn bounds(config: &BTreeMap<String, String>) -> Bounds {
    Bounds { rows: BUNDLE_SIZE.integer(config), time: Duration::from_millis(BUNDLE_TIME.integer(config)) }
}

fn typed(input: &DataType) -> (DataType, Arrow) {
    (input.clone(), arrow_type(input))
}

impl Target {
    /// A function by itself.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDefinition`] for a definition without result type.
    pub(super) fn function(
        definition: &FunctionDefinition,
        number: u32,
        pool: Arc<Pool>,
        stats: Arc<FunctionStats>,
        executor: String,
    ) -> Result<Self, Error> {
        let name = versioned(&definition.name, definition.version);
        if definition.result_type.is_none() {
            return Err(Error::new(ErrorCode::InvalidDefinition, "the definition has no result type").function(name));
        }
        let results = Arc::new(Schema::new(result_fields(definition)));
        let metrics = METRIC_ENABLED.boolean(&definition.config);
        Ok(Self {
            executor,
            number,
            stage: Bytes::new(),
            demand: Demand {
                lane: number,
                name: Arc::from(name.as_str()),
                functions: Arc::from([number]),
                keeps: false,
            },
            functions: vec![Arc::new(Counted { name: name.clone(), stats, metrics })],
            pool,
            inputs: definition.input_typed.then(|| definition.input_types.iter().map(typed).collect()),
            result_schema: schema_message(&results).data_header,
            results,
            timeout_ms: CALL_TIMEOUT.integer(&definition.config),
            // A bundle that may have run is tried again by its stream, which drops what it has changed.
            max_attempts: if definition.keyed.is_some() { 1 } else { max_attempts(definition) },
            capsules: CapsuleRule::of(definition),
            keyed: definition.keyed.is_some(),
            deterministic: definition.deterministic,
            pipeline_breaker: matches!(definition.kind(), FunctionKind::Aggregate | FunctionKind::TableAggregate),
            merger: Merger::of(definition),
            not_null: not_null(definition).then(|| name.clone()),
            bundles: bounds(&definition.config),
            name,
        })
    }

    /// A stage that has been checked, of these functions. `spec`: its StageSpec.
    pub(super) fn stage(
        stage: &Stage,
        spec: Bytes,
        number: u32,
        functions: &[Arc<ServedFunction>],
        pool: Arc<Pool>,
        executor: String,
    ) -> Self {
        let column = |field: &udfleet_proto::v1::Field| field.r#type.clone().unwrap_or_default();
        let output = |field: &udfleet_proto::v1::Field| arrow_field(&field.name, &column(field));
        let results = Arc::new(Schema::new(stage.outputs.iter().map(output).collect::<Vec<_>>()));
        let targets = || functions.iter().map(|function| function.target.as_ref());
        let defaults = Default::default();
        let name = stage.functions.join(", ");
        let needed = functions.iter().map(|function| function.number).collect();
        Self {
            demand: Demand { lane: number, name: Arc::from(name.as_str()), functions: needed, keeps: false },
            name,
            executor,
            number,
            stage: spec,
            functions: targets().flat_map(|target| target.functions.iter().cloned()).collect(),
            pool,
            inputs: Some(stage.inputs.iter().map(|field| typed(&column(field))).collect()),
            result_schema: schema_message(&results).data_header,
            results,
            timeout_ms: targets().map(|t| t.timeout_ms).max().unwrap_or_else(|| CALL_TIMEOUT.integer(&defaults)),
            max_attempts: targets().map(|t| t.max_attempts).min().unwrap_or_else(|| MAX_ATTEMPTS.integer(&defaults)),
            deterministic: targets().all(|target| target.deterministic),
            pipeline_breaker: stage.pipeline_breaker,
            merger: None,
            capsules: CapsuleRule::of_stage(stage, targets().map(|target| target.capsules.as_ref())),
            keyed: targets().any(|target| target.keyed),
            not_null: targets().find_map(|target| target.not_null.clone()),
            bundles: Bounds {
                rows: targets().map(|t| t.bundles.rows).min().unwrap_or(bounds(&defaults).rows),
                time: targets().map(|t| t.bundles.time).min().unwrap_or(bounds(&defaults).time),
            },
        }
    }
}

/// What a stream calls, and how.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) target: Arc<Target>,
    pub(super) on_error: OnError,
    /// Who calls.
    pub(super) client: Arc<ClientStream>,
    /// The client wants to hear of bundles.
    bundles: bool,
}

impl Call {
    /// Checks that failing rows can become what the caller wants of them.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for null where a result can't be null.
    pub(super) fn new(target: Arc<Target>, on_error: OnError) -> Result<Self, Error> {
        Self::asked(target, &ExchangeRequest { on_error: on_error as i32, ..ExchangeRequest::default() })
    }

    /// What the request asks for beside the target.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn asked(target: Arc<Target>, request: &ExchangeRequest) -> Result<Self, Error> {
        let on_error = request.on_error();
        if target.keyed {
            let message = format!("{} keeps state for each key: it is called by streams with an id", target.name);
            return Err(Error::new(ErrorCode::InvalidInput, message)
                .function(&target.name)
                .hint("table.key_by(...).process(...).open_stream(id)"));
        }
        match &target.not_null {
            Some(name) if on_error == OnError::Null => {
                let message = format!("on_error \"null\" needs a nullable result, and that of {name} is NOT NULL");
                Err(Error::new(ErrorCode::InvalidInput, message)
                    .function(name)
                    .hint("ask for \"skip\" or \"fail\", or register the function with a nullable result type"))
            }
            _ => Ok(Self { target, on_error, client: ClientStream::of(request), bundles: request.bundle_progress }),
        }
    }

    /// A bundle of a function with keyed state.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for any other function.
    pub(super) fn keyed(target: Arc<Target>, request: &ExchangeRequest) -> Result<Self, Error> {
        if !target.keyed {
            let message = format!("{} keeps no state: call it as other functions are called", target.name);
            return Err(Error::new(ErrorCode::InvalidInput, message).function(&target.name));
        }
        Ok(Self { target, on_error: OnError::Fail, client: ClientStream::of(request), bundles: false })
    }

    /// The bundles of a stream, where its client wants to hear of them.
    pub(super) fn bundles(&self) -> Option<Bundles> {
        self.bundles.then(|| Bundles::new(self.target.bundles))
    }

    /// What user code has counted here.
    pub(super) fn user_metrics(&self) -> Vec<NamedUserMetrics> {
        let named = |function: &Arc<Counted>| NamedUserMetrics {
            function: function.name.clone(),
            metrics: function.stats.user(),
        };
        self.target.functions.iter().map(named).filter(|named| !named.metrics.is_empty()).collect()
    }

    /// The error of a batch for its caller. `attempts` are tries on this executor, `ran` is whether any of
    /// them has run.
    pub(super) fn explain(&self, error: Error, batch: BatchIdentity, attempts: u32, ran: bool) -> Error {
        error.function(&self.target.name).with(|info| {
            info.attempt = batch.attempt.saturating_add(attempts - 1);
            info.executor.clone_from(&self.target.executor);
            info.producer.clone_from(&self.client.producer);
            info.sequence = Some(batch.sequence);
            // Later batches come back too. Where one of them may have run, that matters for what is not deterministic only.
            info.has_no_side_effects =
                info.has_no_side_effects && !ran && (self.target.deterministic || self.client.refuse(batch.place));
        })
    }
}
