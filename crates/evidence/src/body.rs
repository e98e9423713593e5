//! Reads the bodies of entries. Lenient: a body of another version must not hide an entry, so that what is missing is
//! empty, and the entry is listed all the same.

use serde_json::Value;
use std::collections::BTreeMap;

/// A part of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a>(Option<&'a Value>);

impl<'a> Body<'a> {
    pub const fn new(value: &'a Value) -> Self {
        Self(Some(value))
    }

    pub fn at(self, key: &str) -> Self {
        Self(self.0.and_then(|value| value.get(key)))
    }

    /// A text; numbers and truth values as they are written.
    pub fn text(self) -> String {
        match self.0 {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        }
    }

    pub fn number(self) -> Option<u64> {
        self.0.and_then(Value::as_u64)
    }

    pub fn truth(self) -> bool {
        self.0.and_then(Value::as_bool).unwrap_or_default()
    }

    pub fn parts(self) -> impl Iterator<Item = Body<'a>> {
        self.0.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().map(Body::new)
    }

    pub fn list(self) -> Vec<String> {
        self.parts().map(Body::text).collect()
    }

    pub fn counts(self) -> BTreeMap<String, u64> {
        let map = self.0.and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Body;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_empty() {
        let value = json!({"a": {"b": "x", "n": 7}, "l": ["p", 2], "m": {"ssn": 3, "odd": "y"}});
        let body = Body::new(&value);
        assert_eq!(body.at("a").at("b").text(), "x");
        assert_eq!(body.at("a").at("n").number(), Some(7));
        assert_eq!(body.at("a").at("none").at("deeper").text(), "");
        assert_eq!(body.at("l").list(), ["p", "2"]);
        assert_eq!(body.at("m").counts().into_iter().collect::<Vec<_>>(), [("ssn".to_owned(), 3)]);
        assert!(!body.at("a").truth() && body.at("b").list().is_empty());
    }
}
