//! The part of stages that needs no Python: operators on Arrow columns, casts, literals, and checks of declared types.
//!
//! Every operator is strict: overflow, division by zero and lossy conversion are errors that name row and value.

mod aggregate;
mod arithmetic;
mod builtin;
mod canonical;
mod cast;
mod checked;
mod compare;
mod decimal;
mod fit;
mod kind;
mod literal;
mod locate;
mod misfit;
mod operator;
mod shown;
mod temporal;
mod try_cast;
mod unchanged;
mod value;

pub use aggregate::BuiltinAggregate;
pub use canonical::canonical;
pub use cast::{cast, cast_array};
pub use decimal::parse_decimal;
pub use fit::{check_result, fit};
pub use kind::Source;
pub use literal::literal;
pub use misfit::{check_length, find_misfit};
pub use operator::fields;
pub use operator::{compute, is_true};
pub use shown::shown;
pub use try_cast::try_cast;
pub use value::Value;

use arrow_schema::ArrowError;
use udfleet_proto::error::Error;

/// What Arrow refuses though types have been checked before: a fault of ours.
fn unexpected(error: ArrowError) -> Error {
    Error::internal(format!("an operator on columns: {error}"))
}
