use super::{CanonicalError, NotCanonical, Strict, to_canonical};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

fn text(value: &impl Serialize) -> String {
    String::from_utf8(to_canonical(value).unwrap()).unwrap()
}

fn strict(text: &str) -> Result<(), NotCanonical> {
    let mut reader = Strict::new(text);
    reader.value(0)?;
    reader.end()
}

#[test]
fn strings_are_written_as_rfc_8785_shows() {
    // The string and its canonical form are those of RFC 8785 section 3.2.2.
    let value = json!({"string": "\u{20ac}$\u{f}\u{a}A'\u{42}\u{22}\u{5c}\\\"/", "literals": [null, true, false]});
    assert_eq!(text(&value), "{\"literals\":[null,true,false],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

#[test]
fn names_are_sorted_as_rfc_8785_shows() {
    // The names and their order are those of RFC 8785 section 3.2.3.
    let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
    let map: HashMap<_, _> = names.iter().map(|n| (*n, 0)).collect();
    let want = "{\"\\r\":0,\"1\":0,\"\u{80}\":0,\"ö\":0,\"€\":0,\"😀\":0,\"\u{fb33}\":0}";
    assert_eq!(text(&map), want);
    assert_eq!(strict(want), Ok(()));
}

#[derive(Serialize)]
enum Shape {
    Unit,
    New(u8),
    Pair(u8, u8),
    Named { z: u8, a: Option<u8> },
}

#[test]
fn rust_values_become_what_serde_json_makes_of_them() {
    let all =
        (Shape::Unit, Shape::New(1), Shape::Pair(1, 2), Shape::Named { z: 1, a: None }, [(); 0], 'c', Some("x"), -5_i8);
    assert_eq!(
        text(&all),
        "[\"Unit\",{\"New\":1},{\"Pair\":[1,2]},{\"Named\":{\"a\":null,\"z\":1}},[],\"c\",\"x\",-5]"
    );
    assert_eq!(text(&BTreeMap::from([(10_u8, 1), (9, 2)])), "{\"10\":1,\"9\":2}");
}

#[test]
fn what_has_no_canonical_form_is_refused() {
    #[derive(Serialize)]
    struct Twice {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<&'static str, u8>,
    }
    assert_eq!(to_canonical(&0.5), Err(CanonicalError::Float));
    assert_eq!(to_canonical(&json!([1.0])), Err(CanonicalError::Float));
    assert_eq!(to_canonical(&(1_u64 << 53)), Err(CanonicalError::Integer(1 << 53)));
    assert_eq!(to_canonical(&(-(1_i64 << 53))), Err(CanonicalError::Integer(-(1 << 53))));
    assert_eq!(to_canonical(&Twice { a: 1, rest: [("a", 2)].into() }), Err(CanonicalError::Twice("a".into())));
    assert_eq!(to_canonical(&BTreeMap::from([(true, 1)])), Err(CanonicalError::Key));
    let mut deep = json!(1);
    for _ in 0..65 {
        deep = json!([deep]);
    }
    assert_eq!(to_canonical(&deep), Err(CanonicalError::Depth));
}

#[test]
fn the_strict_reader_takes_nothing_but_the_canonical_form() {
    for good in [
        "0",
        "-1",
        "9007199254740991",
        "\"\\u001f\\n\"",
        "{}",
        "[]",
        "{\"a\":[1,{\"b\":null}],\"b\":true}",
        "\"\u{7f}\"",
    ] {
        assert_eq!(strict(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        " 0",
        "0 ",
        "00",
        "-0",
        "1.0",
        "1e3",
        "+1",
        "9007199254740992",
        "-9007199254740992",
        "01",
        "\"\\u000a\"",
        "\"\\u0041\"",
        "\"\\u001F\"",
        "\"\\/\"",
        "\"\n\"",
        "\"\\x\"",
        "\"",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"a\": 1}",
        "{\"a\":1,}",
        "[1,]",
        "[1 ,2]",
        "tru",
        "{1:2}",
        "{\"a\"}",
        "\"\\u00\"",
        "[",
        "{",
    ] {
        assert!(strict(bad).is_err(), "{bad}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_form_keeps_the_value_and_is_the_only_one(value in values()) {
        let canonical = text(&value);
        prop_assert_eq!(&serde_json::from_str::<Value>(&canonical).unwrap(), &value);
        prop_assert_eq!(strict(&canonical), Ok(()));
        prop_assert_eq!(text(&serde_json::from_str::<Value>(&canonical).unwrap()), canonical);
    }

    #[test]
    fn no_text_makes_the_strict_reader_panic_or_take_two_forms(value in values(), at in any::<prop::sample::Index>(), to in any::<char>()) {
        let canonical = text(&value);
        let mut chars: Vec<char> = canonical.chars().collect();
        let at = at.index(chars.len());
        chars[at] = to;
        let changed: String = chars.into_iter().collect();
        if strict(&changed).is_ok() {
            let read: Value = serde_json::from_str(&changed).unwrap();
            prop_assert_eq!(text(&read), changed);
        }
    }
}
