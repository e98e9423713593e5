//! The methods, as transforms of single values.
//!
//! [`build`] picks the transform for a method, a class and a kind of value; where the method does not fit the kind, the
//! value is redacted; where nothing fits, there is no transform and the field is withheld. What a transform gives is
//! always a value of the kind. Not here: which method is used (see `profile`), and which fields get one (see `plan`).

mod canonical;
mod constant;
mod general;
mod partial;
mod permute;
mod token;
mod when;
mod zip;

use crate::profile::Method;
use crate::{Day, MaskKeys};
use std::sync::Arc;
use vestibule_core::{PhiClass, Transform, ValueKind};

/// The transform of `method` for values of `class` and `kind`; `None`: such a field can only be withheld.
pub(crate) fn build(
    method: &Method,
    class: PhiClass,
    kind: ValueKind,
    keys: &MaskKeys,
    today: Day,
) -> Option<Arc<dyn Transform>> {
    let fitting: Option<Arc<dyn Transform>> = match method {
        Method::Redact => None,
        Method::Null => Some(Arc::new(constant::Constant::null())),
        Method::Replace(by) => constant::Constant::replacing(by, kind).map(arc),
        Method::Partial { first, last } => partial::Partial::new(class, kind, *first, *last).map(arc),
        Method::Token => keys.of(class).and_then(|key| token::Token::new(class, kind, key)).map(arc),
        Method::Year => general::Year::new(class, kind, today).map(arc),
        Method::Age90 => general::Age::new(class, kind, 1).map(arc),
        Method::AgeBand => general::Age::new(class, kind, 5).map(arc),
        Method::Zip3 => general::Zip3::new(class, kind).map(arc),
        // The plan shows such a field; to be asked for a transform is a mistake, and redacting is its safe end.
        Method::Keep => None,
    };
    fitting.or_else(|| constant::Constant::redacting(class, kind).map(arc))
}

fn arc<T: Transform + 'static>(transform: T) -> Arc<dyn Transform> {
    Arc::new(transform)
}

#[cfg(test)]
mod tests;
