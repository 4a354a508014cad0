//! Plans and functions for tests.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{
    Aggregate, Call, Correlate, DataType, Environment, Expression, Field, Filter, FuncType, FunctionDefinition,
    FunctionKind, Item, Literal, OnError, Operation, Plan, Project, TypeRoot, expression, literal, operator,
};

use super::{Compiled, Library, compile};
use crate::registry::{Catalog, Function};

pub const INT: TypeRoot = TypeRoot::Int;
pub const BIGINT: TypeRoot = TypeRoot::Bigint;

pub fn text_type() -> DataType {
    DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) }
}

/// Functions by name; the environment is part of it.
#[derive(Default)]
pub struct Shelf {
    catalog: Catalog,
    /// Of each environment.
    interpreters: u32,
}

impl Library for Shelf {
    fn function(&self, name: &FunctionRef) -> Result<Arc<Function>, Error> {
        let found = self.catalog.newest(&name.name).cloned();
        found.ok_or_else(|| self.catalog.not_found(name))
    }

    fn environment(&self) -> Option<String> {
        self.catalog.iter().next().map(|function| function.environment.clone())
    }

    fn interpreters(&self, _: &[&str], _: &str) -> u32 {
        self.interpreters
    }
}

pub fn definition(kind: FunctionKind, name: &str, inputs: &[TypeRoot], result: DataType) -> FunctionDefinition {
    FunctionDefinition {
        name: name.to_owned(),
        version: 1,
        kind: kind as i32,
        func_type: FuncType::General as i32,
        input_typed: true,
        input_types: inputs
            .iter()
            .map(|root| if *root == TypeRoot::Varchar { text_type() } else { simple(*root) })
            .collect(),
        result_type: Some(result),
        deterministic: true,
        environment: Some(Environment { python: "A".to_owned(), ..Environment::default() }),
        ..FunctionDefinition::default()
    }
}

impl Shelf {
    pub fn with(mut self, definition: FunctionDefinition) -> Self {
        self.catalog = self.catalog.with(Arc::new(Function::new(definition)));
        self
    }

    /// What most tests need: `f`, `g` in A, `h` in B: BIGINT -> BIGINT; `rand`; tables; aggregates.
    pub fn standard() -> Self {
        use FunctionKind::{Aggregate, Scalar, Table, TableAggregate};
        let bigint = || simple(BIGINT);
        let in_environment = |python: &str, definition: FunctionDefinition| FunctionDefinition {
            environment: Some(Environment { python: python.to_owned(), ..Environment::default() }),
            ..definition
        };
        let field = |name: &str, data_type| Field { name: name.to_owned(), r#type: Some(data_type) };
        let row = |fields| DataType { fields, ..simple(TypeRoot::Row) };
        let pair = row(vec![field("w", text_type()), field("n", simple(INT))]);
        Self::default()
            .with(definition(Scalar, "f", &[BIGINT], bigint()))
            .with(definition(Scalar, "g", &[BIGINT], bigint()))
            .with(definition(Scalar, "good", &[TypeRoot::Varchar], simple(TypeRoot::Boolean)))
            .with(definition(Scalar, "add", &[BIGINT, BIGINT], bigint()))
            .with(in_environment("B", definition(Scalar, "h", &[BIGINT], bigint())))
            .with(in_environment("C", definition(Scalar, "k", &[BIGINT], bigint())))
            .with(FunctionDefinition { deterministic: false, ..definition(Scalar, "rand", &[], bigint()) })
            .with(definition(Scalar, "pair", &[BIGINT], pair.clone()))
            .with(FunctionDefinition { input_typed: false, ..definition(Scalar, "any", &[], bigint()) })
            .with(definition(Table, "split", &[TypeRoot::Varchar], pair.clone()))
            .with(definition(Table, "count_to", &[BIGINT], bigint()))
            .with(in_environment("B", definition(Table, "tb", &[BIGINT], bigint())))
            .with(definition(Aggregate, "mean", &[BIGINT], simple(TypeRoot::Double)))
            .with(FunctionDefinition { merges: true, ..definition(Aggregate, "total", &[BIGINT], bigint()) })
            .with(definition(Aggregate, "sum_of", &[BIGINT], bigint()))
            .with(in_environment("B", definition(Aggregate, "mean_b", &[BIGINT], simple(TypeRoot::Double))))
            .with(FunctionDefinition { merges: true, ..definition(TableAggregate, "top2", &[BIGINT], pair) })
    }
}

pub fn col(name: &str) -> Expression {
    Expression { kind: Some(expression::Kind::Column(name.to_owned())), text: name.to_owned(), ..Expression::default() }
}

pub fn lit(value: i64) -> Expression {
    let value = Some(literal::Value::Integer(value));
    Expression { kind: Some(expression::Kind::Literal(Literal { r#type: None, value })), ..Expression::default() }
}

pub fn text(value: &str) -> Expression {
    let value = Some(literal::Value::Text(value.to_owned()));
    Expression { kind: Some(expression::Kind::Literal(Literal { r#type: None, value })), ..Expression::default() }
}

pub fn call(function: &str, arguments: Vec<Expression>) -> Expression {
    let call = Call { function: function.to_owned(), arguments, ..Call::default() };
    Expression { kind: Some(expression::Kind::Call(Box::new(call))), ..Expression::default() }
}

pub fn op(operator: Operator, operands: Vec<Expression>) -> Expression {
    let operation = Operation { operator: operator as i32, operands, ..Operation::default() };
    Expression { kind: Some(expression::Kind::Operation(operation)), ..Expression::default() }
}

pub fn cast(operand: Expression, to: DataType) -> Expression {
    let operation =
        Operation { operator: Operator::Cast as i32, operands: vec![operand], r#type: Some(to), ..Default::default() };
    Expression { kind: Some(expression::Kind::Operation(operation)), ..Expression::default() }
}

pub fn item(expression: Expression, name: &str) -> Item {
    Item { expression: Some(expression), name: name.to_owned(), ..Item::default() }
}

/// Builds a plan over a BIGINT, b BIGINT, i INT, s STRING.
pub struct PlanBuilder(pub Plan);

pub fn plan() -> PlanBuilder {
    let field = |name: &str, data_type| Field { name: name.to_owned(), r#type: Some(data_type) };
    let source =
        vec![field("a", simple(BIGINT)), field("b", simple(BIGINT)), field("i", simple(INT)), field("s", text_type())];
    PlanBuilder(Plan { source, operators: Vec::new() })
}

impl PlanBuilder {
    fn then(mut self, kind: operator::Kind) -> Self {
        self.0.operators.push(udfleet_proto::v1::Operator { kind: Some(kind) });
        self
    }

    pub fn select(self, items: Vec<Item>) -> Self {
        self.then(operator::Kind::Project(Project { items }))
    }

    pub fn filter(self, predicate: Expression) -> Self {
        self.then(operator::Kind::Filter(Filter { predicate: Some(predicate) }))
    }

    pub fn join(self, function: &str, arguments: Vec<Expression>, names: &[&str]) -> Self {
        let call = Some(Call { function: function.to_owned(), arguments, ..Call::default() });
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.then(operator::Kind::Correlate(Correlate { call, names, ..Correlate::default() }))
    }

    pub fn correlate(self, correlate: Correlate) -> Self {
        self.then(operator::Kind::Correlate(correlate))
    }

    pub fn group(self, keys: Vec<Item>, items: Vec<Item>) -> Self {
        self.then(operator::Kind::Aggregate(Aggregate { keys, items, ..Aggregate::default() }))
    }

    pub fn aggregate(self, aggregate: Aggregate) -> Self {
        self.then(operator::Kind::Aggregate(aggregate))
    }

    /// On a fleet of so many interpreters.
    pub fn compiled_for(&self, interpreters: u32) -> Compiled {
        let shelf = Shelf { interpreters, ..Shelf::standard() };
        compile(&self.0, OnError::Unspecified, &shelf).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn compiled(&self) -> Compiled {
        compile(&self.0, OnError::Unspecified, &Shelf::standard()).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn refused(&self) -> Error {
        compile(&self.0, OnError::Unspecified, &Shelf::standard()).expect_err("it compiles")
    }
}

/// The steps of a stage in short: `call f`, `filter`, `join split`, `group`, `compute`, `literal`.
pub fn steps(compiled: &Compiled, stage: usize) -> Vec<String> {
    let stage = &compiled.stages[stage];
    let name = |function: u32| stage.functions[function as usize].split('@').next().unwrap().to_owned();
    let show = |step: &udfleet_proto::v1::Step| match step.kind.as_ref().unwrap() {
        udfleet_proto::v1::step::Kind::Literal(_) => "literal".to_owned(),
        udfleet_proto::v1::step::Kind::Compute(_) => "compute".to_owned(),
        udfleet_proto::v1::step::Kind::Invoke(call) => format!("call {}", name(call.function)),
        udfleet_proto::v1::step::Kind::Filter(_) => "filter".to_owned(),
        udfleet_proto::v1::step::Kind::Unnest(unnest) => {
            format!("join {}", name(unnest.call.as_ref().unwrap().function))
        }
        udfleet_proto::v1::step::Kind::Aggregation(aggregation) => aggregation.phase().as_str_name().to_lowercase(),
        udfleet_proto::v1::step::Kind::Flatten(_) => "flatten".to_owned(),
    };
    stage.steps.iter().map(show).collect()
}

pub fn outputs(compiled: &Compiled) -> Vec<String> {
    let show = |field: &Field| format!("{} {}", field.name, udfleet_proto::types::sql(field.r#type.as_ref().unwrap()));
    compiled.outputs().iter().map(show).collect()
}
