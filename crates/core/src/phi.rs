//! The classes of protected health information.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A class of PHI: the 18 identifiers of 45 CFR 164.514(b)(2)(i) (A to R), split where a mask has to
        /// treat the parts differently, and what is not an identifier but PHI all the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum PhiClass { $($(#[$doc])* $variant,)+ }

        impl PhiClass {
            /// Every class, in the order of the regulation.
            pub const ALL: &'static [PhiClass] = &[$(PhiClass::$variant,)+];

            /// The name used in data maps, policies and records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(PhiClass::$variant => $name,)+ }
            }
        }
    };
}

classes! {
    /// (A) names, of the individual, relatives, employers, household members.
    Name = "name",
    /// (B) geographic subdivisions smaller than a State: street, city, county, precinct, geocode.
    Address = "address",
    /// (B) postal code; the first three digits may stay where more than 20,000 people live.
    Zip = "zip",
    /// (C) elements of dates, except year, directly related to an individual.
    Date = "date",
    /// (C) date of birth: as (C), and the year too when the age is over 89.
    BirthDate = "birth-date",
    /// (C) ages: over 89 become "90 or older".
    Age = "age",
    /// (D) telephone numbers.
    Phone = "phone",
    /// (E) fax numbers.
    Fax = "fax",
    /// (F) e-mail addresses.
    Email = "email",
    /// (G) social security numbers, whole or in part.
    Ssn = "ssn",
    /// (H) medical record numbers.
    Mrn = "mrn",
    /// (I) health plan beneficiary numbers.
    Beneficiary = "beneficiary",
    /// (J) account numbers.
    Account = "account",
    /// (K) certificate and licence numbers.
    License = "license",
    /// (L) vehicle identifiers, serial numbers, plates.
    Vehicle = "vehicle",
    /// (M) device identifiers and serial numbers.
    Device = "device",
    /// (N) web URLs.
    Url = "url",
    /// (O) IP addresses.
    Ip = "ip",
    /// (P) biometric identifiers.
    Biometric = "biometric",
    /// (Q) full-face photographs and comparable images.
    Photo = "photo",
    /// (R) any other unique identifying number, characteristic or code.
    Unique = "unique",
    /// Diagnoses, results, medication: health information that identifies only together with the rest.
    Clinical = "clinical",
    /// Notes and other free text, which may hold any of the above.
    FreeText = "free-text",
    /// Not classified by anybody, on a target that holds PHI: treated as if it were PHI.
    Unclassified = "unclassified",
}

impl fmt::Display for PhiClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PhiClass {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|c| c.name() == name).ok_or(())
    }
}

/// A set of classes, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ClassSet(u32);

impl ClassSet {
    /// No class.
    pub const EMPTY: Self = Self(0);

    /// Whether `class` is in the set.
    #[must_use]
    pub const fn contains(self, class: PhiClass) -> bool {
        self.0 & (1 << class as u32) != 0
    }
    /// Adds `class`.
    pub const fn insert(&mut self, class: PhiClass) {
        self.0 |= 1 << class as u32;
    }
    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// What is here and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// [`ClassSet::is_empty`] by reference, for `skip_serializing_if`.
    #[must_use]
    pub const fn is_empty_ref(set: &Self) -> bool {
        set.is_empty()
    }
    /// The classes, in order.
    pub fn iter(self) -> impl Iterator<Item = PhiClass> {
        PhiClass::ALL.iter().copied().filter(move |c| self.contains(*c))
    }
}

impl FromIterator<PhiClass> for ClassSet {
    fn from_iter<I: IntoIterator<Item = PhiClass>>(classes: I) -> Self {
        let mut set = Self::EMPTY;
        for class in classes {
            set.insert(class);
        }
        set
    }
}

impl Serialize for ClassSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ClassSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<PhiClass>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{ClassSet, PhiClass};

    #[test]
    fn names_are_the_serialised_form_and_parse_back() {
        for class in PhiClass::ALL {
            assert_eq!(class.name().parse(), Ok(*class));
        }
        assert_eq!("SSN".parse::<PhiClass>(), Err(()));
    }

    #[test]
    fn sets_hold_every_class() {
        let all: ClassSet = PhiClass::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), PhiClass::ALL.len());
        assert!(all.minus(all).is_empty());
    }
}
