//! A fleet as any Flight client sees it: the types of a function, and calls of it.

use std::fmt;
use std::hash::{Hash, Hasher};

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::{FlightError, Result};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightDescriptor};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::FieldRef;
use futures::TryStreamExt as _;
use tonic::transport::{Channel, Endpoint};

/// The longest message that is read, bytes: the fleet sends no frames of more than 256 MiB.
const MOST_BYTES: usize = 257 << 20;
const SCALAR: &str = "SCALAR";

/// One connection, which all calls share.
#[derive(Clone)]
pub struct Fleet {
    address: String,
    channel: Channel,
    token: Option<String>,
}

/// What a function takes and gives.
pub struct FunctionTypes {
    pub inputs: Vec<FieldRef>,
    pub result: FieldRef,
}

impl Fleet {
    /// Connects to a coordinator, `HOST:PORT`.
    pub async fn connect(address: &str, token: Option<&str>) -> Result<Self> {
        let unreachable = |error: tonic::transport::Error| FlightError::ExternalError(error.into());
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(Self { address: address.to_owned(), channel, token: token.map(str::to_owned) })
    }

    fn client(&self) -> Result<FlightClient> {
        let inner = FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MOST_BYTES);
        let mut client = FlightClient::new_from_inner(inner);
        // Errors as statuses, whoever else uses the connection.
        client.add_header("x-udfleet-dialect", "plain")?;
        if let Some(token) = &self.token {
            client.add_header("authorization", &format!("Bearer {token}"))?;
        }
        Ok(client)
    }

    /// The types of a scalar function: `name` or `name@version`.
    pub async fn types(&self, function: &str) -> Result<FunctionTypes> {
        let info = self.client()?.get_flight_info(path(function)).await?;
        let inputs = usize::try_from(info.total_records);
        let schema = info.try_decode_schema()?;
        let refused = |why: &str| FlightError::DecodeError(format!("{function} {why}"));
        if schema.metadata().get("x-udfleet-kind").is_none_or(|kind| kind != SCALAR) {
            return Err(refused("is no scalar function"));
        }
        let inputs = inputs.map_err(|_| refused("is registered without the types of its arguments"))?;
        match schema.fields().split_at_checked(inputs) {
            Some((inputs, [result])) => Ok(FunctionTypes { inputs: inputs.to_vec(), result: result.clone() }),
            _ => Err(refused(&format!("has {} columns, {inputs} of them arguments", schema.fields().len()))),
        }
    }

    /// Sends a batch and reads all that comes back, in the order of its rows.
    pub async fn call(&self, function: &str, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(path(function)));
        let request = encoder.build(futures::stream::iter([Ok(batch)]));
        self.client()?.do_exchange(request).await?.try_collect().await
    }
}

fn path(function: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![function.to_owned()])
}

/// Without the token.
impl fmt::Debug for Fleet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Fleet").field(&self.address).finish()
    }
}

impl PartialEq for Fleet {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for Fleet {}

impl Hash for Fleet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}
