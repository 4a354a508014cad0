//! Rare but valid layouts of batches.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, Int8Array, Int64Array, LargeStringArray,
    RecordBatch, RecordBatchOptions, StringArray, StringViewArray,
};
use arrow_schema::{DataType, Schema};
use udfleet_tests::batches::{batch, column, integers, numbers, texts};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, bytes, string};
use udfleet_tests::http::wait_idle;
use udfleet_tests::messages::{Encoder, descriptors};
use udfleet_tests::stream::{call, exchange};

async fn start(functions: &[Function]) -> Cluster {
    let cluster = Cluster::start(2).await;
    for function in functions {
        cluster.client().register(function).await;
    }
    cluster
}

async fn end(cluster: &Cluster) {
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_64_megabytes() {
    let cluster = start(&[Function::new("length").takes(vec![bytes()]).config("udfleet.call.timeout", "60000")]).await;
    let megabyte = vec![7_u8; 1 << 20];
    let large = batch(vec![Arc::new(BinaryArray::from_iter_values(vec![&megabyte; 64]))]);
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("length") {
            let results = call(&endpoint, descriptor, &[large.clone(), large.clone()]).await.unwrap();
            assert_eq!(integers(&results), vec![1 << 20; 128], "{form} at {endpoint}");
        }
    }
    end(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layout_of_text_and_narrow_numbers() {
    let functions = [Function::new("length").takes(vec![string()]), Function::new("double")];
    let cluster = start(&functions).await;
    let values = vec![Some("a"), None, Some("a text that is longer than twelve bytes"), Some("")];
    let layouts: [ArrayRef; 4] = [
        Arc::new(StringArray::from(values.clone())),
        Arc::new(LargeStringArray::from(values.clone())),
        Arc::new(StringViewArray::from(values.clone())),
        Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for endpoint in cluster.endpoints() {
        for layout in &layouts {
            for (form, descriptor) in descriptors("length") {
                let results = call(&endpoint, descriptor, &[batch(vec![Arc::clone(layout)])]).await.unwrap();
                let lengths = column(&results[0], DataType::Int64);
                let expected = Int64Array::from(vec![Some(1), None, Some(39), Some(0)]);
                assert_eq!(lengths.as_primitive(), &expected, "{} as {form} at {endpoint}", layout.data_type());
            }
        }
        let narrow = batch(vec![Arc::new(Int8Array::from(vec![1, 2]))]);
        let results = call(&endpoint, udfleet_tests::messages::path("double"), &[narrow]).await.unwrap();
        assert_eq!(integers(&results), [2, 4]);
    }
    end(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_share_buffers() {
    let cluster = start(&[Function::new("length").takes(vec![bytes()])]).await;
    let long = BinaryViewArray::from_iter_values((0..2000).map(|i| vec![1_u8; i]));
    // A slice refers to buffers of its whole.
    let slice = batch(vec![Arc::new(long.slice(500, 100))]);
    for endpoint in cluster.endpoints() {
        let results =
            call(&endpoint, udfleet_tests::messages::command("length"), std::slice::from_ref(&slice)).await.unwrap();
        assert_eq!(integers(&results), (500..600).collect::<Vec<_>>());
    }
    end(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_batches_and_rows_without_columns() {
    let cluster = start(&[Function::new("seven").takes(Vec::new()), Function::new("double")]).await;
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("seven") {
            let results = call(&endpoint, descriptor, &[rows.clone(), rows.clone()]).await.unwrap();
            assert_eq!(integers(&results), [7; 10], "{form} at {endpoint}");
        }
        for (form, descriptor) in descriptors("double") {
            let results = call(&endpoint, descriptor, &[numbers([]), numbers([1]), numbers([])]).await.unwrap();
            let rows: Vec<_> = results.iter().map(|m| column(m, DataType::Int64).len()).collect();
            assert_eq!(rows, [0, 1, 0], "{form} at {endpoint}: one answer per batch");
        }
    }
    end(&cluster).await;
}

fn dictionary(keys: &[i32], values: &[&str]) -> RecordBatch {
    let values = Arc::new(StringArray::from(values.to_vec()));
    batch(vec![Arc::new(DictionaryArray::<Int32Type>::new(keys.to_vec().into(), values))])
}

fn strings(messages: &[arrow_flight::FlightData]) -> Vec<String> {
    let all = messages.iter().map(|message| column(message, DataType::Utf8));
    all.flat_map(|c| c.as_string::<i32>().iter().map(|v| v.unwrap().to_owned()).collect::<Vec<_>>()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_that_grow_and_that_change() {
    let cluster = start(&[Function::new("echo").takes(vec![string()]).returns(string())]).await;
    let growing = [
        dictionary(&[0, 1], &["a", "b"]),
        dictionary(&[1, 2, 0], &["a", "b", "c"]),
        dictionary(&[2], &["a", "b", "c"]),
        dictionary(&[3, 0], &["a", "b", "c", "d"]),
    ];
    let expected = ["a", "b", "b", "c", "a", "c", "d", "a"];
    let messages = Encoder::with_deltas().all(&growing);
    assert_eq!(messages.len(), 1 + 4 + 3, "a dictionary and two deltas");
    // Many times over: were batches spread over executors, some would miss a dictionary.
    let changing: Vec<_> = (0..60).map(|i| dictionary(&[1, 0], &[&format!("v{i}"), "same"])).collect();
    let changed: Vec<String> = (0..60).flat_map(|i| ["same".to_owned(), format!("v{i}")]).collect();
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("echo") {
            let results = exchange(&endpoint, descriptor.clone(), messages.clone()).await.unwrap();
            assert_eq!(strings(&results), expected, "{form} at {endpoint}: deltas");
            let results = call(&endpoint, descriptor, &changing).await.unwrap();
            assert_eq!(strings(&results), changed, "{form} at {endpoint}: replaced");
        }
    }
    end(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_without_declared_inputs_take_what_comes() {
    let function = Function::new("first").untyped().returns(string());
    let cluster = start(&[function]).await;
    for endpoint in cluster.endpoints() {
        for columns in [vec![0, 0], vec![0]] {
            let columns: Vec<ArrayRef> = columns.iter().map(|_| texts(&["x", "y"]).column(0).clone()).collect();
            let results = call(&endpoint, udfleet_tests::messages::path("first"), &[batch(columns)]).await.unwrap();
            assert_eq!(strings(&results), ["x", "y"]);
        }
    }
    end(&cluster).await;
}
