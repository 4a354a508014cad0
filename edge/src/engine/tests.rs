//! The gateway between hand-made answers of an executor and what clients of each engine receive.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_flight::FlightData;
use arrow_schema::{DataType, Schema, SchemaRef};
use prost::Message as _;
use tonic::{Code, Status};

use super::*;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{
    self, BatchResult, ErrorCode, FunctionDefinition, FunctionKind, OnError, StreamProgress, TypeRoot,
};

fn definition(kind: FunctionKind, result: v1::DataType) -> FunctionDefinition {
    FunctionDefinition {
        name: "f".to_owned(),
        kind: kind as i32,
        input_typed: true,
        input_types: vec![simple(TypeRoot::Bigint)],
        result_type: Some(result),
        deterministic: true,
        ..Default::default()
    }
}

fn scalar() -> FunctionDefinition {
    definition(FunctionKind::Scalar, simple(TypeRoot::Bigint))
}

fn decimal() -> v1::DataType {
    v1::DataType { precision: 10, scale: 2, ..simple(TypeRoot::Decimal) }
}

fn caller(engine: Engine, query: &str) -> Caller {
    Caller { engine, tenant: "t".to_owned(), query: query.to_owned(), function: String::new(), progress_every_ms: 0 }
}

fn gateway(engine: Engine, definition: &FunctionDefinition) -> Gateway {
    Gateway::new(&Arc::default(), caller(engine, ""), definition, "f@1")
}

fn numbered(batch: &RecordBatch, sequence: u64, errors_column: bool) -> FlightData {
    let rows = batch.num_rows() as u64;
    let result = BatchResult { sequence, last: true, rows, errors_column, ..BatchResult::default() };
    ipc::encode(batch).unwrap().with_app_metadata(result.encode_to_vec())
}

fn failure(sequence: u64, error: Error) -> FlightData {
    let result = BatchResult { sequence, last: true, error: Some(error.into_info()), ..BatchResult::default() };
    FlightData::new().with_app_metadata(result.encode_to_vec())
}

fn numbers(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

fn one(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap()
}

fn partly_failed() -> RecordBatch {
    let errors: ArrayRef = Arc::new(StringArray::from(vec![None, Some("no 2")]));
    RecordBatch::try_from_iter_with_nullable([("a", numbers([Some(1), None]), true), ("e", errors, true)]).unwrap()
}

/// A batch of the client is seen on its way in.
fn arrives(gateway: &Gateway, batch: &RecordBatch) -> bool {
    gateway.arrivals().note(&ipc::encode(batch).unwrap())
}

fn out(gateway: &mut Gateway) -> Vec<Result<FlightData, Status>> {
    std::iter::from_fn(|| gateway.pop()).collect()
}

/// Schema and batches that a client has got.
fn decoded(messages: Vec<Result<FlightData, Status>>) -> (SchemaRef, Vec<RecordBatch>) {
    let mut messages = messages.into_iter().map(|message| message.unwrap());
    let schema = Arc::new(Schema::try_from(&messages.next().unwrap()).unwrap());
    let batches = messages.map(|message| {
        assert!(message.app_metadata.is_empty());
        ipc::decode(&schema, &message.data_header, message.data_body).unwrap()
    });
    let batches = batches.collect();
    (schema, batches)
}

fn messages(batch: &RecordBatch) -> Vec<Option<&str>> {
    batch.column(1).as_string::<i32>().iter().collect()
}

#[test]
fn plain_clients_get_the_schema_at_once_and_errors_as_they_are() {
    let mut gateway = gateway(Engine::Other, &scalar());
    assert_eq!(gateway.request().on_error(), OnError::Unspecified);
    assert_eq!(out(&mut gateway).len(), 1);
    gateway.take(numbered(&one(numbers([Some(1)])), 0, false));
    assert_eq!(out(&mut gateway).len(), 1);
    gateway.take(failure(1, Error::new(ErrorCode::CallTimeout, "slow")));
    let [Err(status)] = &out(&mut gateway)[..] else { panic!("an error is due") };
    assert_eq!((status.code(), Error::from(status).code()), (Code::DeadlineExceeded, ErrorCode::CallTimeout));
    assert!(gateway.is_over());
}

#[test]
fn without_failures_arrow_udf_gets_one_column_at_the_end_of_the_input() {
    let strict = definition(FunctionKind::Scalar, v1::DataType { not_null: true, ..simple(TypeRoot::Bigint) });
    let mut gateway = gateway(Engine::ArrowUdf, &strict);
    assert_eq!(gateway.request().on_error(), OnError::Column);
    gateway.take(numbered(&one(numbers([Some(1)])), 0, false));
    assert!(gateway.pop().is_none(), "the next row may fail");
    gateway.end();
    let (schema, batches) = decoded(out(&mut gateway));
    assert_eq!((schema.fields().len(), schema.field(0).is_nullable()), (1, true));
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().values(), &[1]);
}

#[test]
fn failed_rows_have_their_messages_and_others_none() {
    let mut gateway = gateway(Engine::ArrowUdf, &scalar());
    gateway.take(numbered(&one(numbers([Some(7)])), 0, false));
    gateway.take(numbered(&partly_failed(), 1, true));
    gateway.take(numbered(&one(numbers([Some(8)])), 2, false));
    gateway.end();
    let (schema, batches) = decoded(out(&mut gateway));
    assert_eq!(schema.field(1).data_type(), &DataType::Utf8);
    let got: Vec<_> = batches.iter().map(messages).collect();
    assert_eq!(got, [vec![None], vec![None, Some("no 2")], vec![None]]);
    assert!(batches[1].column(0).is_null(1));
}

#[test]
fn a_batch_that_fails_as_a_whole_is_null_with_what_comes_behind_it() {
    let mut gateway = gateway(Engine::ArrowUdf, &scalar());
    let rows = |count: i64| one(numbers((0..count).map(Some)));
    for count in [1, 5000, 3] {
        assert!(arrives(&gateway, &rows(count)));
    }
    gateway.take(numbered(&rows(1), 0, false));
    gateway.take(failure(1, Error::new(ErrorCode::CallTimeout, "slow").function("f@1")));
    assert!(arrives(&gateway, &rows(4)), "what comes while the stream is drained counts too");
    gateway.end();
    let (_, batches) = decoded(out(&mut gateway));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1 + 5000 + 3 + 4);
    let last = batches.last().unwrap();
    assert!(last.column(0).null_count() == last.num_rows());
    assert!(messages(last).iter().all(|message| message.unwrap().contains("slow")));
}

#[test]
fn what_no_row_can_do_anything_about_is_a_status() {
    for (engine, error, code) in [
        (Engine::ArrowUdf, Error::new(ErrorCode::InvalidInput, "wrong columns"), Code::InvalidArgument),
        (Engine::ArrowUdf, Error::new(ErrorCode::NoCapacity, "full"), Code::Unavailable),
        (Engine::Databend, Error::new(ErrorCode::InterpreterCrashed, "crash"), Code::InvalidArgument),
        (Engine::Databend, Error::new(ErrorCode::NoCapacity, "full"), Code::Unavailable),
    ] {
        let mut gateway = gateway(engine, &scalar());
        gateway.take(failure(0, error.clone()));
        gateway.end();
        let Some(Err(status)) = out(&mut gateway).pop() else { panic!("{error}: a status is due") };
        assert_eq!((status.code(), Error::from(&status).code()), (code, error.code()));
    }
}

#[test]
fn decimals_go_out_as_text_also_beside_errors() {
    let definition = definition(FunctionKind::Scalar, decimal());
    let column: ArrayRef =
        Arc::new(Decimal128Array::from(vec![Some(-150), None]).with_precision_and_scale(10, 2).unwrap());
    let mut arrow_udf = gateway(Engine::ArrowUdf, &definition);
    arrow_udf.take(numbered(&one(Arc::clone(&column)), 0, false));
    arrow_udf.end();
    let (schema, batches) = decoded(out(&mut arrow_udf));
    assert_eq!(schema.field(0).metadata()["ARROW:extension:name"], "arrowudf.decimal");
    assert_eq!(batches[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("-1.5"), None]);
    let mut databend = gateway(Engine::Databend, &definition);
    databend.take(numbered(&one(column), 0, false));
    let (_, batches) = decoded(out(&mut databend));
    assert_eq!(batches[0].column(0).as_primitive::<Decimal128Type>().value(0), -150);
}

#[test]
fn tables_become_structs_for_arrow_udf_and_lose_their_rows_for_databend() {
    let field = |name: &str, r#type| v1::Field { name: name.to_owned(), r#type: Some(r#type) };
    let row = v1::DataType {
        fields: vec![field("w", simple(TypeRoot::Varchar)), field("d", decimal())],
        ..simple(TypeRoot::Row)
    };
    let definition = definition(FunctionKind::Table, row);
    let rows: ArrayRef = Arc::new(Int32Array::from(vec![0, 0]));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let decimals: ArrayRef = Arc::new(Decimal128Array::from(vec![1, 250]).with_precision_and_scale(10, 2).unwrap());
    let columns = [("row", rows, false), ("w", words, true), ("d", decimals, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();

    let mut arrow_udf = gateway(Engine::ArrowUdf, &definition);
    assert_eq!(arrow_udf.request().on_error(), OnError::Unspecified);
    arrow_udf.take(numbered(&batch, 0, false));
    let (_, batches) = decoded(out(&mut arrow_udf));
    assert_eq!(batches[0].column(0).as_primitive::<Int32Type>().values(), &[0, 0]);
    let values = batches[0].column(1).as_struct();
    assert_eq!(values.column(0).as_string::<i32>().value(1), "b");
    assert_eq!(values.column(1).as_string::<i32>().value(1), "2.5");

    // The second batch of a call: its rows come behind those of the first.
    let mut cut = gateway(Engine::ArrowUdf, &definition);
    assert!(arrives(&cut, &one(numbers([Some(1), Some(2), Some(3)]))) && arrives(&cut, &one(numbers([Some(4)]))));
    cut.take(numbered(&batch, 0, false));
    cut.take(numbered(&batch, 1, false));
    let (_, batches) = decoded(out(&mut cut));
    let rows: Vec<_> = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
    assert_eq!(rows, [0, 0, 3, 3]);

    let mut databend = gateway(Engine::Databend, &definition);
    databend.take(numbered(&batch, 0, false));
    let (schema, batches) = decoded(out(&mut databend));
    assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["w", "d"]);
    assert_eq!(batches[0].num_rows(), 2);
}

#[test]
fn databend_always_gets_a_batch() {
    let mut gateway = gateway(Engine::Databend, &scalar());
    gateway.end();
    let (_, batches) = decoded(out(&mut gateway));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [0]);
}

#[test]
fn the_same_call_of_a_query_fails_again_without_running() {
    let engines = Arc::new(Engines::default());
    let open = |query: &str, definition: &FunctionDefinition| {
        Gateway::new(&engines, caller(Engine::Databend, query), definition, "f@1")
    };
    let (bad, good) = (one(numbers([Some(13)])), one(numbers([Some(12)])));
    let mut first = open("q1", &scalar());
    assert!(arrives(&first, &bad));
    first.take(failure(0, Error::new(ErrorCode::UserCode, "no 13")));

    let mut again = open("q1", &scalar());
    assert!(arrives(&again, &good) && !arrives(&again, &bad));
    again.take(numbered(&good, 0, false));
    again.end();
    let all = out(&mut again);
    assert_eq!(all.len(), 3, "schema, the answer to what came before, the error");
    assert!(all[2].as_ref().unwrap_err().message().contains("no 13"));
    assert_eq!(engines.repeats(), [(Engine::Databend, 1)]);
    assert_eq!(engines.calls(), [(Engine::Databend, "t".to_owned(), 2)]);

    assert!(arrives(&open("q2", &scalar()), &bad), "another query");
    let random = FunctionDefinition { deterministic: false, ..scalar() };
    assert!(arrives(&open("q1", &random), &bad), "it may succeed");
    let plain = Gateway::new(&engines, caller(Engine::Other, "q1"), &scalar(), "f@1");
    assert!(arrives(&plain, &bad), "no engine");
}

#[test]
fn failures_of_the_fleet_are_not_remembered() {
    let engines = Arc::new(Engines::default());
    let open = || Gateway::new(&engines, caller(Engine::Databend, "q1"), &scalar(), "f@1");
    let batch = one(numbers([Some(1)]));
    let mut first = open();
    assert!(arrives(&first, &batch));
    first.take(failure(0, Error::new(ErrorCode::NoCapacity, "full")));
    assert!(arrives(&open(), &batch));
}

#[test]
fn signs_of_life_come_to_who_has_asked_for_them() {
    let progress = || {
        let result = BatchResult { progress: Some(StreamProgress::default()), ..BatchResult::default() };
        FlightData { app_metadata: result.encode_to_vec().into(), ..FlightData::default() }
    };
    for (engine, asked, told) in
        [(Engine::Other, 5000, 1), (Engine::Other, 0, 0), (Engine::Databend, 5000, 1), (Engine::ArrowUdf, 5000, 0)]
    {
        let engines = Arc::default();
        let caller = Caller { progress_every_ms: asked, ..caller(engine, "q") };
        let mut gateway = Gateway::new(&engines, caller, &scalar(), "f@1");
        let is_asked = gateway.request().progress_every_ms > 0;
        out(&mut gateway);
        gateway.take(progress());
        assert_eq!((out(&mut gateway).len(), is_asked), (told, told > 0), "{engine:?} {asked}");
    }
}
