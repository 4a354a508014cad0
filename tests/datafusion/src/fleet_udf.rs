//! A function of a fleet as DataFusion calls it.

use std::sync::Arc;

use arrow_flight::error::FlightError;
use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{exec_err, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::fleet::Fleet;

/// Rows of one call, unless said otherwise: as many as a batch of DataFusion has by default.
const BATCH_SIZE: usize = 8192;

/// A scalar function of a fleet.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FleetUdf {
    fleet: Fleet,
    function: String,
    /// In SQL.
    name: String,
    signature: Signature,
    result: DataType,
    batch_size: usize,
}

impl FleetUdf {
    /// Asks the fleet for the types of `name` or `name@version`. In SQL the function is called `name`.
    pub async fn new(fleet: &Fleet, function: &str, volatility: Volatility) -> Result<Self> {
        let types = fleet.types(function).await.map_err(external)?;
        let inputs: Vec<_> = types.inputs.iter().map(|field| field.data_type().clone()).collect();
        let arguments = if inputs.is_empty() { TypeSignature::Nullary } else { TypeSignature::Exact(inputs) };
        Ok(Self {
            fleet: fleet.clone(),
            function: function.to_owned(),
            name: function.split('@').next().unwrap_or(function).to_owned(),
            signature: Signature::new(arguments, volatility),
            result: types.result.data_type().clone(),
            batch_size: BATCH_SIZE,
        })
    }

    /// At most so many rows in one call.
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// What `SessionContext::register_udf` takes.
    pub fn into_scalar_udf(self) -> ScalarUDF {
        AsyncScalarUDF::new(Arc::new(self)).into_scalar_udf()
    }
}

impl ScalarUDFImpl for FleetUdf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} is asynchronous", self.name)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for FleetUdf {
    fn ideal_batch_size(&self) -> Option<usize> {
        Some(self.batch_size)
    }

    async fn invoke_async_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let columns = arguments.args.iter().map(|column| column.to_array(rows)).collect::<Result<_>>()?;
        let answers = self.fleet.call(&self.function, batch(columns, rows)?).await.map_err(external)?;
        let Some(first) = answers.first() else { return exec_err!("{}: {rows} rows, no answer", self.function) };
        let answer = concat_batches(first.schema_ref(), &answers)?;
        match answer.columns() {
            [result] if result.len() == rows && *result.data_type() == self.result => {
                Ok(ColumnarValue::Array(result.clone()))
            }
            _ => exec_err!(
                "{}: {rows} rows of {} expected, {} of {} found; register it with DataFusion again",
                self.function,
                self.result,
                answer.num_rows(),
                answer.schema()
            ),
        }
    }
}

/// The fleet takes columns by their position.
fn batch(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields = columns.iter().map(|column| Field::new("", column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// What the fleet says is found again with `DataFusionError::find_root`: a `tonic::Status`.
fn external(error: FlightError) -> DataFusionError {
    match error {
        FlightError::Tonic(status) => DataFusionError::External(status),
        other => DataFusionError::External(Box::new(other)),
    }
}
