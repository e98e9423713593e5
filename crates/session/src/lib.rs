//! How one session is carried: the guard that clears every operation, the permit without which no byte is forwarded,
//! and the driver that moves bytes between a client, an interpreter and a target.
//!
//! The order of an access decision stands once, in [`Guard::clear`]. Not here: how a protocol is read (protocols), what
//! policy says (policy), how a target is dialled (upstream), where it is listened (gateway).

mod cancel;
mod entries;
mod guard;
mod half;
mod house;
mod live;
mod log;
mod serve;
mod stream;
mod welcome;
mod wires;

pub use guard::{Guard, Permit};
pub use house::{Catalogs, House, Observer, Place, Rules, Seen, SessionFacts, Totals};
pub use live::{LiveSession, LiveSessions};
pub use serve::{Arrival, serve};
