//! Small frames that stand for much: they are refused before anything is made of them.

use std::sync::Arc;

use arrow_array::builder::StringViewBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, ListArray, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_schema::{Field, Schema};
use udfleet_proto::v1::ErrorCode;
use udfleet_tests::batches::{batch, integers, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, string};
use udfleet_tests::memory::pss_of_tree;
use udfleet_tests::messages::{Encoder, descriptors, path};
use udfleet_tests::stream::{call, exchange};

const MIB: usize = 1 << 20;

/// A batch of so many rows and no column.
fn rows(count: i64) -> Vec<FlightData> {
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let mut batch = arrow_ipc::RecordBatchBuilder::new(&mut builder);
    batch.add_length(count);
    let batch = batch.finish().as_union_value();
    let mut message = arrow_ipc::MessageBuilder::new(&mut builder);
    message.add_version(arrow_ipc::MetadataVersion::V5);
    message.add_header_type(arrow_ipc::MessageHeader::RecordBatch);
    message.add_header(batch);
    let message = message.finish();
    builder.finish(message, None);
    let schema = Encoder::default().schema(&Schema::empty());
    vec![schema, FlightData::new().with_data_header(builder.finished_data().to_vec())]
}

/// 100,000 times the same text of 1 MiB.
fn views() -> RecordBatch {
    let mut views = StringViewBuilder::new();
    let block = views.append_block(vec![b'x'; MIB].into());
    (0..100_000).for_each(|_| views.try_append_view(block, 0, MIB as u32).unwrap());
    batch(vec![Arc::new(views.finish())])
}

fn text() -> ArrayRef {
    Arc::new(StringArray::from(vec!["x".repeat(MIB)]))
}

fn named(values: ArrayRef, times: usize) -> ArrayRef {
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; times]), values))
}

/// A dictionary of lists of a dictionary: 1,000 x 1,000 x 1 MiB.
fn nested() -> RecordBatch {
    let inner = named(text(), 1000);
    let item = Arc::new(Field::new("item", inner.data_type().clone(), true));
    let list = ListArray::new(item, OffsetBuffer::from_lengths([1000]), inner, None);
    batch(vec![named(Arc::new(list), 1000)])
}

async fn start() -> Cluster {
    let engine = vec!["--engine-listen=127.0.0.1:0"];
    let cluster =
        Cluster::with(1, Options { coordinator: engine.clone(), executor: engine, ..Options::default() }).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.client().register(&Function::new("length").takes(vec![string()])).await;
    let texts = udfleet_proto::v1::DataType {
        element: Some(Box::new(string())),
        ..udfleet_proto::types::simple(udfleet_proto::v1::TypeRoot::Array)
    };
    cluster.client().register(&Function::new("length").named("lengths").takes(vec![texts])).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_too_large_is_refused_everywhere() {
    let mut cluster = start().await;
    let endpoints = [cluster.endpoints(), cluster.engine_endpoints()].concat();
    let pids = [cluster.coordinator().pid(), cluster.executor("e1").pid()];
    let before: u64 = pids.iter().map(|pid| pss_of_tree(*pid)).sum();
    let refused = async |what: &str, endpoint: &str, descriptor: FlightDescriptor, messages: Vec<FlightData>| {
        let error = exchange(endpoint, descriptor, messages).await.expect_err(what);
        assert_eq!(error.code(), ErrorCode::LimitExceeded, "{what} at {endpoint}: {error:?}");
    };
    // Made once: its builder looks at the whole text for each view.
    let views = Encoder::default().all(&[views()]);
    for (index, endpoint) in endpoints.iter().enumerate() {
        let of_engine = index >= 2;
        for count in [1 << 33, 1 << 62] {
            refused("rows without columns", endpoint, path("builtin_healthy"), rows(count)).await;
        }
        refused("views", endpoint, path("builtin_echo"), views.clone()).await;
        let calls = descriptors("length").into_iter().zip(descriptors("lengths"));
        for ((form, length), (_, lengths)) in calls.take(if of_engine { 1 } else { 2 }) {
            refused(&format!("views as {form}"), endpoint, length.clone(), views.clone()).await;
            let dictionary = Encoder::default().all(&[batch(vec![named(text(), 100_000)])]);
            refused(&format!("a dictionary as {form}"), endpoint, length, dictionary).await;
            let nested = Encoder::default().all(&[nested()]);
            refused(&format!("nested dictionaries as {form}"), endpoint, lengths, nested).await;
        }
        assert_eq!(integers(&call(endpoint, path("double"), &[numbers([21])]).await.unwrap()), [42], "{endpoint}");
    }
    let grown = pids.iter().map(|pid| pss_of_tree(*pid)).sum::<u64>().saturating_sub(before);
    assert!(grown < 512 << 20, "{} MiB", grown >> 20);
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_a_batch_may_have_are_a_typed_error() {
    let cluster = start().await;
    let schema = Encoder::default().schema(&numbers([1]).schema());
    for endpoint in cluster.endpoints() {
        for count in [1 << 33, 1 << 62, i64::MAX] {
            for (form, descriptor) in descriptors("double") {
                let messages = vec![schema.clone(), rows(count).remove(1)];
                let error = exchange(&endpoint, descriptor, messages).await.expect_err(form);
                assert_eq!(error.code(), ErrorCode::LimitExceeded, "{count} rows as {form} at {endpoint}: {error:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layouts_that_share_bytes_are_fine_where_they_are_small() {
    let cluster = start().await;
    let word: ArrayRef = Arc::new(StringArray::from(vec!["alpha"]));
    let inner = named(word, 3);
    let item = Arc::new(Field::new("item", inner.data_type().clone(), true));
    let list: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([3]), inner, None));
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("lengths") {
            let results = call(&endpoint, descriptor, &[batch(vec![named(Arc::clone(&list), 4)])]).await;
            assert_eq!(integers(&results.unwrap()), [3; 4], "nested dictionaries as {form} at {endpoint}");
        }
    }
}
