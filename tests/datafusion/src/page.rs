//! What `docs/engines/datafusion.md` shows.

use datafusion::error::Result;
use datafusion::logical_expr::Volatility;
use datafusion::prelude::SessionContext;

use crate::fleet::Fleet;
use crate::fleet_udf::FleetUdf;

pub async fn show(fleet: &Fleet) -> Result<()> {
    let context = SessionContext::new();
    let delay_class = FleetUdf::new(fleet, "delay_class", Volatility::Volatile).await?;
    context.register_udf(delay_class.into_scalar_udf());
    let sql = "select delay, delay_class(delay) class from (values (2.0), (33.0), (null)) flights(delay)";
    context.sql(sql).await?.show().await
}
