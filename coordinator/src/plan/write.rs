//! Writes stages, one after the other: registers, slots, steps.

use std::collections::{BTreeSet, HashMap};

use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::{self, Aggregation, Compute, DataType, Field, Invocation, Stage, Step, TypeRoot, Unnest, step};

use super::graph::{FunctionId, Graph, Invoke, Kind, NodeId};
use super::order::Action;
use super::pipeline::{AggregateExpression, AggregateFunction, End, Group, Logical, Pipeline};

/// Writes the stages of a plan from first to last.
pub(super) struct Writer<'a> {
    logical: &'a Logical,
    pipeline: usize,
    finished: Vec<Stage>,
    stage: Stage,
    /// Where values of the pipeline are.
    registers: HashMap<NodeId, u32>,
    next: u32,
    aggregated: bool,
    /// What each stage does, line by line, for people.
    notes: Vec<Vec<String>>,
}

impl<'a> Writer<'a> {
    /// Begins with all columns of the source.
    pub fn new(logical: &'a Logical) -> Self {
        let inputs = logical.pipelines.first().map_or_else(Vec::new, |pipeline| pipeline.inputs.clone());
        let mut writer = Self {
            logical,
            pipeline: 0,
            finished: Vec::new(),
            stage: Stage { inputs, ..Stage::default() },
            registers: HashMap::new(),
            next: 0,
            aggregated: false,
            notes: vec![Vec::new()],
        };
        writer.enter(0);
        writer
    }

    fn pipeline(&self) -> &'a Pipeline {
        &self.logical.pipelines[self.pipeline]
    }

    fn graph(&self) -> &'a Graph {
        &self.pipeline().graph
    }

    /// The inputs of a pipeline are the registers now.
    fn enter(&mut self, pipeline: usize) {
        self.pipeline = pipeline;
        let Some(entered) = self.logical.pipelines.get(pipeline) else { return };
        self.next = entered.inputs.len() as u32;
        self.registers = entered.graph.inputs().map(|(id, position)| (id, position as u32)).collect();
    }

    /// True where the stage can run this too.
    pub fn takes(&self, environment: Option<&str>) -> bool {
        environment.is_none_or(|e| self.stage.environment.is_empty() || self.stage.environment == e)
    }

    /// True once the stage has an aggregation.
    pub fn has_aggregation(&self) -> bool {
        self.aggregated
    }

    /// True where it does something already.
    pub fn has_steps(&self) -> bool {
        !self.stage.steps.is_empty()
    }

    /// From now on the stage belongs to this environment.
    pub fn run_in(&mut self, environment: Option<&str>) {
        if let Some(environment) = environment {
            environment.clone_into(&mut self.stage.environment);
        }
    }

    /// Ends the stage; the next one gets what is still needed.
    pub fn cut(&mut self, needed: BTreeSet<NodeId>) {
        let graph = self.graph();
        let carried = |id: &NodeId| !matches!(graph.node(*id).kind, Kind::Literal(_));
        let mut live: Vec<NodeId> =
            needed.into_iter().filter(|id| self.registers.contains_key(id) && carried(id)).collect();
        if live.is_empty() {
            // Rows need a column to be counted by.
            live.extend(self.registers.keys().filter(|id| carried(id)).min_by_key(|id| self.registers[id]));
        }
        let field = |(index, id): (usize, &NodeId)| Field {
            name: format!("c{index}"),
            r#type: Some(graph.node(*id).data_type.clone()),
        };
        let fields: Vec<Field> = live.iter().enumerate().map(field).collect();
        let results = live.iter().map(|id| self.registers[id]).collect();
        self.end_stage(results, fields);
        self.registers = live.into_iter().enumerate().map(|(index, id)| (id, index as u32)).collect();
        self.next = self.registers.len() as u32;
    }

    fn end_stage(&mut self, results: Vec<u32>, outputs: Vec<Field>) {
        let next = Stage { inputs: outputs.clone(), ..Stage::default() };
        let stage = std::mem::replace(&mut self.stage, next);
        self.finished.push(Stage { results, outputs, ..stage });
        self.notes.push(Vec::new());
        self.aggregated = false;
    }

    fn step(&mut self, text: &str, kind: step::Kind) {
        self.stage.steps.push(Step { text: text.to_owned(), kind: Some(kind) });
    }

    fn note(&mut self, what: &str, about: &str) {
        if let Some(lines) = self.notes.last_mut() {
            lines.push(format!("{what:<9} {about}"));
        }
    }

    fn append(&mut self, id: NodeId) -> u32 {
        let register = self.next;
        self.registers.insert(id, register);
        self.next += 1;
        register
    }

    /// Where a value is. Literals come into being here.
    fn register(&mut self, id: NodeId) -> u32 {
        if let Some(register) = self.registers.get(&id) {
            return *register;
        }
        let node = self.graph().node(id);
        if let Kind::Literal(literal) = &node.kind {
            self.step(&node.text, step::Kind::Literal(literal.clone()));
        }
        self.append(id)
    }

    fn registers(&mut self, ids: &[NodeId]) -> Vec<u32> {
        ids.iter().map(|id| self.register(*id)).collect()
    }

    fn slot(&mut self, function: FunctionId) -> u32 {
        let name = &self.logical.functions[function].name;
        let known = self.stage.functions.iter().position(|other| other == name);
        let slot = known.unwrap_or_else(|| {
            self.stage.functions.push(name.clone());
            self.stage.functions.len() - 1
        });
        slot as u32
    }

    fn invocation(&mut self, invoke: &Invoke) -> Invocation {
        let arguments = self.registers(&invoke.arguments);
        Invocation { function: self.slot(invoke.function), arguments, row: invoke.row.clone() }
    }

    /// Anything but a grouping.
    pub fn act(&mut self, action: Action) {
        let pipeline = self.pipeline();
        match action {
            Action::Compute(id) => self.compute(id),
            Action::Filter(position) => {
                let filter = &pipeline.filters[position];
                let register = self.register(filter.predicate);
                self.step(&filter.text, step::Kind::Filter(register));
                self.note("filter", &filter.text);
            }
            Action::Unnest(position) => {
                let unnest = &pipeline.unnests[position];
                let call = Some(self.invocation(&unnest.call));
                self.step(&unnest.text, step::Kind::Unnest(Unnest { call, outer: unnest.outer }));
                for column in &unnest.columns {
                    self.append(*column);
                }
                let names: Vec<&str> = unnest.columns.iter().map(|id| pipeline.graph.node(*id).text.as_str()).collect();
                let kind = if unnest.outer { "left join" } else { "join" };
                self.note(kind, &format!("{} -> {}", unnest.text, names.join(", ")));
            }
            Action::End => {
                if let End::Output(columns) = &pipeline.end {
                    self.output(columns);
                }
            }
        }
    }

    fn compute(&mut self, id: NodeId) {
        let node = self.graph().node(id);
        let kind = match &node.kind {
            Kind::Compute { operator, operands, field } => step::Kind::Compute(Compute {
                operator: *operator as i32,
                operands: self.registers(operands),
                r#type: Some(node.data_type.clone()),
                field: *field,
            }),
            Kind::Invoke(invoke) => step::Kind::Invoke(self.invocation(invoke)),
            // Registers already, or made where they are used.
            Kind::Input(_) | Kind::Unnested { .. } | Kind::Literal(_) => return,
        };
        self.step(&node.text, kind);
        self.note(if matches!(node.kind, Kind::Invoke(_)) { "call" } else { "compute" }, &node.text);
        self.append(id);
    }

    fn output(&mut self, columns: &[(String, NodeId)]) {
        let graph = self.graph();
        let field = |(name, id): &(String, NodeId)| Field {
            name: name.clone(),
            r#type: Some(graph.node(*id).data_type.clone()),
        };
        let outputs = columns.iter().map(field).collect();
        let results = columns.iter().map(|(_, id)| self.register(*id)).collect();
        self.end_stage(results, outputs);
    }

    fn aggregates(&mut self, calls: &[AggregateExpression]) -> Vec<v1::AggregateCall> {
        calls.iter().map(|call| self.aggregate(call, None)).collect()
    }

    /// A call over its arguments, or over the register of its accumulators.
    fn aggregate(&mut self, aggregate: &AggregateExpression, accumulators: Option<u32>) -> v1::AggregateCall {
        let (builtin, data_type) = match &aggregate.function {
            AggregateFunction::Builtin { builtin, result, .. } => (*builtin, Some(result.clone())),
            AggregateFunction::Registered(_) => (Builtin::Unspecified, None),
        };
        let arguments = match accumulators {
            Some(register) => vec![register],
            None => self.registers(aggregate.function.arguments()),
        };
        let (function, row) = match &aggregate.function {
            AggregateFunction::Registered(invoke) if accumulators.is_none() => {
                (self.slot(invoke.function), invoke.row.clone())
            }
            AggregateFunction::Registered(invoke) => (self.slot(invoke.function), Vec::new()),
            AggregateFunction::Builtin { .. } => (0, Vec::new()),
        };
        let filter = aggregate.filter.filter(|_| accumulators.is_none());
        v1::AggregateCall {
            call: Some(Invocation { function, arguments, row }),
            distinct: aggregate.distinct && accumulators.is_none(),
            filter: filter.map_or(0, |filter| self.register(filter) + 1),
            builtin: builtin as i32,
            r#type: data_type,
            text: aggregate.text.clone(),
        }
    }

    fn aggregation_step(&mut self, group: &Group, keys: Vec<u32>, aggregates: Vec<v1::AggregateCall>, phase: Phase) {
        self.step(&group.text, step::Kind::Aggregation(Aggregation { keys, aggregates, phase: phase as i32 }));
        let how = match phase {
            Phase::Partial => "in each batch, ",
            Phase::Merge => "merged, ",
            Phase::Complete | Phase::Unspecified => "",
        };
        let by = if group.text.is_empty() { "all rows".to_owned() } else { format!("by {}", group.text) };
        let calls: Vec<&str> = group.calls.iter().map(|call| call.text.as_str()).collect();
        self.note("group", &format!("{how}{by}: {}", calls.join(", ")));
        self.aggregated = true;
        self.stage.pipeline_breaker = phase != Phase::Partial;
    }

    /// All groups in one interpreter, or those of each key in one of so many. Then the stage begins here: its input has
    /// the keys.
    pub fn group(&mut self, group: &Group, interpreters: u32) {
        let keys = self.registers(&group.keys);
        if interpreters > 1 {
            let columns = self.stage.inputs.len() as u32;
            self.stage.partition_by = keys.iter().copied().filter(|key| *key < columns).collect();
            self.note("spread", &format!("by key over {interpreters} interpreters"));
        }
        let aggregates = self.aggregates(&group.calls);
        self.aggregation_step(group, keys, aggregates, Phase::Complete);
        self.enter(self.pipeline + 1);
    }

    /// Accumulators of each batch in any interpreter, then merged in one.
    pub fn group_in_two_phases(&mut self, group: &Group) {
        let keys = self.registers(&group.keys);
        let aggregates = self.aggregates(&group.calls);
        self.aggregation_step(group, keys, aggregates, Phase::Partial);
        let environment = self.stage.environment.clone();
        let bytes = DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varbinary) };
        let accumulators =
            (0..group.calls.len()).map(|index| Field { name: format!("a{index}"), r#type: Some(bytes.clone()) });
        let fields: Vec<Field> = group.outputs[..group.keys.len()].iter().cloned().chain(accumulators).collect();
        self.end_stage((0..fields.len() as u32).collect(), fields);
        self.stage.environment = environment;
        let count = group.keys.len() as u32;
        let calls = group.calls.iter().zip(count..);
        let aggregates = calls.map(|(call, register)| self.aggregate(call, Some(register))).collect();
        self.aggregation_step(group, (0..count).collect(), aggregates, Phase::Merge);
        self.enter(self.pipeline + 1);
    }

    /// All stages, and what each does.
    pub fn finish(self) -> (Vec<Stage>, Vec<Vec<String>>) {
        (self.finished, self.notes)
    }
}
