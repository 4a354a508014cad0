//! Who may come in, and what for: callers are known by what they show ([`Authenticator`]), each method takes a right
//! ([`METHODS`]), and a [`Gate`] in front of each port checks both, once for each call or stream.

mod denial;
mod failures;
mod fleet_token;
mod gate;
mod layer;
mod pattern;
mod principal;
mod right;
mod send;
mod table;
mod ticket_check;
mod ticket_sign;
mod token;

pub use denial::{Denial, DenialLog, Denials};
pub use failures::LoginFailures;
pub use fleet_token::FleetToken;
pub use gate::{Authenticator, Everybody, Gate, GateRefusal, LoginFailure, check_action};
pub use layer::{GateLayer, GatedService};
pub use pattern::{FunctionPatterns, MOST_PATTERNS};
pub use principal::{DEFAULT_TENANT, Principal, PrincipalKind};
pub use right::{Right, Rights, Role};
pub use send::{BearerSource, HEADER, SendToken, header};
pub use table::{Demand, FunctionCheck, METHODS, Method, Surface, method};
pub use ticket_check::TicketCheck;
pub use ticket_sign::TicketSigner;
pub use token::{ParsedToken, SecretHash, TokenType, token_of};
