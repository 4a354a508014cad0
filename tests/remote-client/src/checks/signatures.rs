//! What CREATE FUNCTION looks at.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use arrow_udf_runtime::remote::{Client, Error};

use crate::columns::{DECIMAL, extension};
use crate::{Failure, expect};

pub fn version(client: &Client) -> Result<(), Failure> {
    expect!(client.protocol_version() == 2, "{}", client.protocol_version());
    Ok(())
}

/// As RisingWave compares: names, nullability and metadata of columns aside, nested nullability included.
fn same_types(schema: &Schema, types: &[DataType]) -> bool {
    let pairs = schema.fields().iter().zip(types);
    schema.fields().len() == types.len()
        && pairs.into_iter().all(|(field, kind)| field.data_type().equals_datatype(kind))
}

pub async fn signatures(client: &Client) -> Result<(), Failure> {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
    let word = [("f1", DataType::Utf8), ("f2", DataType::Int64)];
    let word = DataType::Struct(word.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect());
    let (int, text) = (DataType::Int32, DataType::Utf8);
    for (name, args, returns) in [
        ("gcd", vec![int.clone(), int.clone()], vec![int.clone()]),
        ("joined", vec![text.clone(), DataType::Int64, DataType::Boolean], vec![text.clone()]),
        ("fortytwo", vec![], vec![DataType::Int64]),
        ("cents", vec![text.clone()], vec![text.clone()]),
        ("same_array", vec![list.clone()], vec![list]),
        ("series", vec![int.clone()], vec![int.clone(), int.clone()]),
        ("words", vec![text], vec![int, word]),
    ] {
        let function = client.get(name).await?;
        expect!(function.name == name, "{}", function.name);
        expect!(same_types(&function.args, &args), "{name}: {:?}", function.args);
        expect!(same_types(&function.returns, &returns), "{name}: {:?}", function.returns);
    }
    let cents = client.get("cents").await?;
    for field in [cents.args.field(0), cents.returns.field(0)] {
        expect!(extension(field) == Some(DECIMAL), "{field:?}");
    }
    Ok(())
}

pub async fn list(client: &Client) -> Result<(), Failure> {
    let functions = client.list().await?;
    for name in ["gcd", "words", "cents"] {
        let Some(listed) = functions.iter().find(|function| function.name == name) else {
            return Err(format!("{name} is not listed").into());
        };
        let described = client.get(name).await?;
        expect!(listed.args.fields() == described.args.fields(), "{name}: {:?}", listed.args);
        expect!(listed.returns.fields() == described.returns.fields(), "{name}: {:?}", listed.returns);
    }
    Ok(())
}

pub async fn unknown(client: &Client) -> Result<(), Failure> {
    match client.get("no_such_function").await {
        Err(Error::Tonic(status)) => {
            expect!(status.message().contains("no_such_function"), "{status}");
            Ok(())
        }
        other => Err(format!("expected a status, found {other:?}").into()),
    }
}
