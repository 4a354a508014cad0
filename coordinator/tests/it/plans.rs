//! Plans through the Flight endpoint: compiled, checked, their stages chained.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_schema::Schema;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{
    Aggregate, Call, Environment, ErrorCode, ExchangeRequest, ExplainRequest, Expression, Field, FunctionDefinition,
    FunctionKind, Item, Operator, Plan, Project, TypeRoot, expression, operator,
};

use super::client::{ask, batch, encode, firsts, open, result_of, schema};
use super::executor::{Behaviour, Executor};
use super::support::{Coordinator, echo, error_of, start};

fn expression(kind: expression::Kind, text: &str) -> Expression {
    Expression { kind: Some(kind), text: text.to_owned(), ..Expression::default() }
}

fn column(name: &str) -> Expression {
    expression(expression::Kind::Column(name.to_owned()), name)
}

fn call(function: &str, argument: Expression) -> Expression {
    let text = format!("{function}({})", argument.text);
    let call = Call { function: function.to_owned(), arguments: vec![argument], ..Call::default() };
    expression(expression::Kind::Call(Box::new(call)), &text)
}

fn item(expression: Expression, name: &str) -> Item {
    Item { expression: Some(expression), name: name.to_owned(), ..Item::default() }
}

fn plan(operators: Vec<operator::Kind>) -> Plan {
    Plan {
        source: vec![Field { name: "a".to_owned(), r#type: Some(simple(TypeRoot::Bigint)) }],
        operators: operators.into_iter().map(|kind| Operator { kind: Some(kind) }).collect(),
    }
}

fn select(expression: Expression) -> operator::Kind {
    operator::Kind::Project(Project { items: vec![item(expression, "x")] })
}

/// `f` and `agg` in one environment, `h` in another.
async fn fleet(behaviours: &[Behaviour]) -> (Coordinator, Vec<Executor>) {
    let coordinator = start().await;
    let names = ["a", "b", "c"];
    let begin =
        |(name, behaviour): (&&str, &Behaviour)| Executor::start(&coordinator.address(), name, behaviour.clone());
    let executors: Vec<_> = names.iter().zip(behaviours).map(begin).collect();
    coordinator.executors(|all| all.len() == behaviours.len()).await;
    let deterministic = |name: &str| FunctionDefinition { deterministic: true, ..echo(name) };
    coordinator.register(deterministic("f")).await.1.unwrap();
    let other = Some(Environment { python: "3.11".to_owned(), ..Environment::default() });
    coordinator.register(FunctionDefinition { environment: other, ..deterministic("h") }).await.1.unwrap();
    let aggregate = FunctionKind::Aggregate as i32;
    coordinator.register(FunctionDefinition { kind: aggregate, ..deterministic("agg") }).await.1.unwrap();
    (coordinator, executors)
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_of_two_environments_run_in_a_row() {
    let behaviour = Behaviour { delay: Some(|n| (n * 7) % 3), ..Default::default() };
    let (coordinator, _executors) = fleet(&vec![behaviour; 2]).await;
    let mut stream = open(&coordinator, ask(plan(vec![select(call("h", call("f", column("a"))))]))).await.unwrap();
    stream.send_all(encode(schema(), (0..60).map(|i| batch(i..i + 2)).collect()).await);
    stream.half_close();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(Schema::try_from(&first).unwrap().field(0).name(), "x");
    let answers = stream.rest().await.unwrap();
    assert_eq!(firsts(&answers), (0..60).collect::<Vec<_>>());
    let numbers: Vec<_> = answers.iter().map(result_of).map(|result| (result.sequence, result.last)).collect();
    assert_eq!(numbers, (0..60).map(|i| (i, true)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_one_stage_are_batches_of_the_next() {
    let (coordinator, _executors) = fleet(&vec![Behaviour { parts: 2, ..Default::default() }; 2]).await;
    let mut stream = open(&coordinator, ask(plan(vec![select(call("h", call("f", column("a"))))]))).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(3..5), batch(7..8)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let numbers: Vec<_> = answers.iter().map(result_of).map(|result| (result.sequence, result.last)).collect();
    let of = |i| [(i, false), (i, false), (i, false), (i, true)];
    assert_eq!(numbers, [of(0), of(1)].concat());
    assert_eq!(firsts(&answers), [3, 3, 3, 3, 7, 7, 7, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grouping_between_stages_answers_at_the_end() {
    let (coordinator, executors) = fleet(&vec![Behaviour::default(); 2]).await;
    let group = |argument: &str| {
        operator::Kind::Aggregate(Aggregate {
            items: vec![item(call("agg", column(argument)), "x")],
            ..Aggregate::default()
        })
    };
    let operators = vec![select(call("h", column("a"))), group("x"), select(call("h", column("x"))), group("x")];
    let mut stream = open(&coordinator, ask(plan(operators))).await.unwrap();
    stream.send_all(encode(schema(), (0..10).map(|i| batch(i..i + 1)).collect()).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let numbers: Vec<_> = answers.iter().map(result_of).map(|result| (result.sequence, result.last)).collect();
    assert_eq!(numbers, (0..=10).map(|i| (i, true)).collect::<Vec<_>>(), "ten answers without rows, then the result");
    assert!(answers[..10].iter().all(|answer| answer.data_header.is_empty()));
    assert_eq!(firsts(&answers[10..]), [1], "the second grouping saw one batch");
    let batches: usize = executors.iter().map(Executor::batches).sum();
    assert_eq!(batches, 10 + 10 + 1 + 1);

    let mut empty = open(&coordinator, ask(plan(vec![select(call("h", column("a"))), group("x")]))).await.unwrap();
    empty.half_close();
    empty.next().await.unwrap().unwrap();
    assert_eq!(firsts(&empty.rest().await.unwrap()), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_any_stage_reaches_the_client_in_band() {
    let failing = Behaviour { error: Some((2, ErrorCode::UserCode)), ..Default::default() };
    let (coordinator, _executors) = fleet(&[failing]).await;
    for expression in [call("h", call("f", column("a"))), call("f", column("a"))] {
        let mut stream = open(&coordinator, ask(plan(vec![select(expression)]))).await.unwrap();
        stream.send_all(encode(schema(), (0..6).map(|i| batch(i..i + 1)).collect()).await);
        stream.next().await.unwrap().unwrap();
        for sequence in 0..2 {
            let result = result_of(&stream.next().await.unwrap().unwrap());
            assert_eq!((result.sequence, result.error), (sequence, None));
        }
        // Still open for writing: the error comes before the end all the same.
        let result = result_of(&stream.next().await.unwrap().unwrap());
        assert_eq!(result.sequence, 2);
        assert_eq!(Error::from(result.error.unwrap()).code(), ErrorCode::UserCode);
        stream.half_close();
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_that_make_no_sense_are_refused_with_the_expression() {
    let (coordinator, _executors) = fleet(&[Behaviour::default()]).await;
    let status = open(&coordinator, ask(plan(vec![select(call("f", column("b")))]))).await.err().unwrap();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let error = error_of(&status);
    assert_eq!((error.code(), error.info().expression.as_str()), (ErrorCode::InvalidPlan, "b"));
    let status = open(&coordinator, ask(plan(vec![select(call("ff", column("a")))]))).await.err().unwrap();
    assert_eq!(error_of(&status).info().hint, "did you mean \"f\"?");
}

#[tokio::test(flavor = "multi_thread")]
async fn flight_info_leads_to_executors_where_one_stage_does_it() {
    let (coordinator, _executors) = fleet(&vec![Behaviour::default(); 2]).await;
    let mut flight = FlightServiceClient::new(coordinator.channel().await);
    let one = ask(plan(vec![select(call("f", column("a")))]));
    let info = flight.get_flight_info(one).await.unwrap().into_inner();
    assert_eq!(info.endpoint.len(), 2);
    assert!(info.endpoint[0].location[0].uri.starts_with("grpc+tcp://127.0.0.1:"));
    let ticket = info.endpoint[0].ticket.clone().unwrap().ticket;
    let stage = ExchangeRequest::decode(ticket).unwrap().stage.unwrap();
    assert_eq!((stage.functions, stage.outputs[0].name.as_str()), (vec!["f@1".to_owned()], "x"));
    assert_eq!(info.try_decode_schema().unwrap().field(0).name(), "x");
    let two = ask(plan(vec![select(call("h", call("f", column("a"))))]));
    let info = flight.get_flight_info(two).await.unwrap().into_inner();
    assert!(info.endpoint.len() == 1 && info.endpoint[0].location.is_empty(), "{info:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_a_client_has_is_run_as_it_is() {
    let (coordinator, _executors) = fleet(&[Behaviour::default()]).await;
    let plan = plan(vec![select(call("f", column("a")))]);
    let explained = coordinator.fleet().await.explain(ExplainRequest { plan: Some(plan) }).await.unwrap().into_inner();
    assert!(explained.text.contains("call      f(a)"), "{}", explained.text);
    let stage = explained.stages.into_iter().next();
    let request = ExchangeRequest { stage, ..ExchangeRequest::default() };
    let mut stream = open(&coordinator, udfleet_proto::flight::exchange_descriptor(&request)).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(4..6)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), [4]);
}
