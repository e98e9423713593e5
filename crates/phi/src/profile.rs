//! Profiles: by which method a value of each class is changed.
//!
//! Not here: the methods themselves (see `transform`), and who gets which profile (policy).

use std::fmt;
use vestibule_core::PhiClass;

/// The profile in force where nothing else is named.
pub const SAFE_HARBOR: &str = "safe-harbor";

/// The built-in profiles, strictest first.
pub const BUILT_IN_PROFILES: [&str; 3] = [SAFE_HARBOR, "pseudonymised", "limited-data-set"];

/// How a value is changed. Where a method does not fit a value's type, the value is redacted; where the type cannot
/// even be redacted, it is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A constant of the type that says nothing of the value.
    Redact,
    /// NULL.
    Null,
    /// This constant.
    Replace(Box<str>),
    /// The first and last characters (digits, for numbers people format) stay, the rest is `*`. Never more than half
    /// of the value stays.
    Partial {
        /// How many stay at the beginning.
        first: u8,
        /// How many stay at the end.
        last: u8,
    },
    /// A keyed pseudonym, equal for equal values of the class.
    Token,
    /// 1 January of the year; of birth dates, no year that tells an age over 89.
    Year,
    /// Ages over 89 become 90.
    Age90,
    /// Ages become the first year of their band of five; over 89, 90.
    AgeBand,
    /// The first three digits of a postal code, or 000 where at most 20,000 people live.
    Zip3,
    /// It stays. Only for classes that a limited data set may hold.
    Keep,
}

impl Method {
    /// The names used in data maps.
    pub(crate) const NAMES: [&'static str; 10] =
        ["redact", "null", "replace", "partial", "token", "year", "age-90", "age-band", "zip3", "keep"];

    /// The name used in data maps.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Redact => "redact",
            Self::Null => "null",
            Self::Replace(_) => "replace",
            Self::Partial { .. } => "partial",
            Self::Token => "token",
            Self::Year => "year",
            Self::Age90 => "age-90",
            Self::AgeBand => "age-band",
            Self::Zip3 => "zip3",
            Self::Keep => "keep",
        }
    }

    /// Why the method cannot be asked for values of `class`; `None` if it can.
    pub(crate) fn misfit(&self, class: PhiClass) -> Option<&'static str> {
        use PhiClass::{Address, Age, BirthDate, Clinical, Date, Unique, Zip};
        let fits = match self {
            Self::Year => matches!(class, Date | BirthDate),
            Self::Age90 | Self::AgeBand => class == Age,
            Self::Zip3 => class == Zip,
            // 45 CFR 164.514(e)(2): what a limited data set may hold.
            Self::Keep => matches!(class, Address | Zip | Date | BirthDate | Age | Unique | Clinical),
            Self::Token => !matches!(class, PhiClass::FreeText | PhiClass::Unclassified),
            Self::Partial { .. } => !matches!(class, PhiClass::FreeText | PhiClass::Unclassified | BirthDate | Date),
            Self::Redact | Self::Null | Self::Replace(_) => true,
        };
        (!fits).then_some(match self {
            Self::Year => "`year` is for the classes date and birth-date; use `redact`",
            Self::Age90 | Self::AgeBand => "ages are generalised only in the class age; use `redact`",
            Self::Zip3 => "`zip3` is for the class zip; use `redact`",
            Self::Keep => "to show this class, let a policy reveal it; a profile may keep only address, zip, date, birth-date, age, unique and clinical",
            _ => "free text and unclassified values may hold anything, and parts of dates are dates; use `redact` or `null`",
        })
    }

    /// How much the method lets through, to order profiles. Not a measure of risk.
    const fn looseness(&self) -> u32 {
        match self {
            Self::Redact | Self::Null | Self::Replace(_) => 0,
            Self::Token => 1,
            Self::Year | Self::Age90 | Self::AgeBand | Self::Zip3 => 2,
            Self::Partial { .. } => 3,
            Self::Keep => 8,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One method for each class, in the order of [`PhiClass::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(Vec<Method>);

impl Profile {
    /// A built-in profile. Clinical values are no identifiers: they are masked in every profile until a policy
    /// reveals them.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let method: fn(PhiClass) -> Method = match name {
            SAFE_HARBOR => safe_harbor,
            "pseudonymised" => pseudonymised,
            "limited-data-set" => limited_data_set,
            _ => return None,
        };
        Some(Self(PhiClass::ALL.iter().map(|class| method(*class)).collect()))
    }

    /// The profile of those who named one that does not exist.
    pub(crate) fn redact_all() -> Self {
        Self(PhiClass::ALL.iter().map(|_| Method::Redact).collect())
    }

    /// The method for a class.
    #[must_use]
    pub fn method(&self, class: PhiClass) -> &Method {
        self.0.get(class as usize).unwrap_or(&Method::Redact)
    }

    /// Takes another method for a class.
    pub(crate) fn set(&mut self, class: PhiClass, method: Method) {
        if let Some(slot) = self.0.get_mut(class as usize) {
            *slot = method;
        }
    }

    /// Orders profiles, strictest first: a profile that is nowhere looser than another never comes after it.
    pub(crate) fn looseness(&self) -> u32 {
        self.0.iter().map(Method::looseness).sum()
    }
}

/// 45 CFR 164.514(b)(2)(i).
const fn safe_harbor(class: PhiClass) -> Method {
    match class {
        PhiClass::Zip => Method::Zip3,
        PhiClass::Date | PhiClass::BirthDate => Method::Year,
        PhiClass::Age => Method::Age90,
        _ => Method::Redact,
    }
}

/// 45 CFR 164.514(e)(2). Street and city share a class: a column that holds only the city says so with
/// `methods = { limited-data-set = "keep" }`.
const fn limited_data_set(class: PhiClass) -> Method {
    match class {
        PhiClass::Zip | PhiClass::Date | PhiClass::BirthDate | PhiClass::Age => Method::Keep,
        PhiClass::Unique => Method::Token,
        _ => Method::Redact,
    }
}

/// For joins over masked identifiers. Still PHI: 45 CFR 164.514(c).
const fn pseudonymised(class: PhiClass) -> Method {
    use PhiClass::{
        Account, Age, Beneficiary, BirthDate, Date, Device, Email, Fax, License, Mrn, Name, Phone, Ssn, Unique,
        Vehicle, Zip,
    };
    match class {
        Name | Phone | Fax | Email | Ssn | Mrn | Beneficiary | Account | License | Vehicle | Device | Unique => {
            Method::Token
        }
        Zip => Method::Zip3,
        Date | BirthDate => Method::Year,
        Age => Method::AgeBand,
        _ => Method::Redact,
    }
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN_PROFILES, Method, PhiClass, Profile};

    #[test]
    fn built_in_profiles_ask_for_nothing_that_does_not_fit_and_are_ordered() {
        let mut last = 0;
        for name in BUILT_IN_PROFILES {
            let profile = Profile::built_in(name).unwrap();
            for class in PhiClass::ALL {
                assert_eq!(profile.method(*class).misfit(*class), None, "{name} {class}");
            }
            assert!(profile.looseness() > last, "{name}");
            last = profile.looseness();
        }
    }

    #[test]
    fn direct_identifiers_cannot_be_kept_by_a_profile() {
        assert!(Method::Keep.misfit(PhiClass::Ssn).is_some());
        assert!(Method::Keep.misfit(PhiClass::FreeText).is_some());
        assert!(Method::Year.misfit(PhiClass::Ssn).is_some());
    }
}
