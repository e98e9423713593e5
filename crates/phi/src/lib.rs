//! Protected health information: which column holds which class, and what a client sees instead.
//!
//! [`DataMap`] says for every column of a target which [`PhiClass`](vestibule_core::PhiClass) it holds, and plans the
//! mask of a result from that ([`DataMap::mask`]). [`Profile`] says for every class by which [`Method`] a value is
//! changed; the transforms do it, keeping the value's type valid. [`MaskKeys`] are the keys behind tokens.
//!
//! What a mask gives is, for `safe-harbor`, what 45 CFR 164.514(b)(2)(i) lets remain; for `limited-data-set`, what
//! 164.514(e)(2) lets remain; tokens are *pseudonyms* and never called de-identified.
//!
//! Not here: who may see what (that is policy), where a result's column comes from (that is the protocol's reading),
//! detectors for free text, clocks, files. Today's date and the secret are arguments.

mod builtin;
mod calendar;
mod keys;
mod map;
mod parse;
mod plan;
mod profile;
mod suggest;
mod transform;

pub use calendar::Day;
pub use keys::MaskKeys;
pub use map::DataMap;
pub use profile::{BUILT_IN_PROFILES, Method, Profile, SAFE_HARBOR};
