//! The serde side of canonical JSON: which Rust value becomes which JSON value. As `serde_json` does it, but for
//! fractions, which are refused.

use super::{Array, CanonicalError, Object, Out, Writer};
use serde::ser::{self, Serialize, Serializer};

type Done = Result<(), CanonicalError>;

/// How `serde_json`, built with `arbitrary_precision`, hands over a number.
const JSON_NUMBER: &str = "$serde_json::private::Number";

impl<'a> Writer<'a> {
    fn array(self, wrapped: bool) -> Result<Array<'a>, CanonicalError> {
        self.out.enter()?;
        self.out.text.push(b'[');
        Ok(Array { out: self.out, first: true, wrapped })
    }

    fn variant(out: &mut Out, variant: &str) -> Done {
        out.enter()?;
        out.text.push(b'{');
        out.string(variant);
        out.text.push(b':');
        Ok(())
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty => $how:ident),* $(,)?) => {
        $(fn $method(self, value: $type) -> Done { self.out.$how(value.into()) })*
    };
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = CanonicalError;
    type SerializeSeq = Array<'a>;
    type SerializeTuple = Array<'a>;
    type SerializeTupleStruct = Array<'a>;
    type SerializeTupleVariant = Array<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Struct<'a>;
    type SerializeStructVariant = Object<'a>;

    integers! {
        serialize_i8: i8 => signed, serialize_i16: i16 => signed, serialize_i32: i32 => signed, serialize_i64: i64 => signed,
        serialize_u8: u8 => unsigned, serialize_u16: u16 => unsigned, serialize_u32: u32 => unsigned, serialize_u64: u64 => unsigned,
    }

    fn serialize_bool(self, value: bool) -> Done {
        self.out.text.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Done {
        Err(CanonicalError::Float)
    }

    fn serialize_f64(self, _: f64) -> Done {
        Err(CanonicalError::Float)
    }

    fn serialize_char(self, value: char) -> Done {
        self.out.string(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Done {
        self.out.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        let mut array = self.array(false)?;
        for byte in value {
            array.element(byte)?;
        }
        array.finish()
    }

    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.out.text.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        Self::variant(self.out, variant)?;
        value.serialize(Writer { out: self.out })?;
        self.out.text.push(b'}');
        self.out.depth -= 1;
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'a>, CanonicalError> {
        self.array(false)
    }

    fn serialize_tuple(self, _: usize) -> Result<Array<'a>, CanonicalError> {
        self.array(false)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Array<'a>, CanonicalError> {
        self.array(false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'a>, CanonicalError> {
        Self::variant(self.out, variant)?;
        self.array(true)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>, CanonicalError> {
        Object::begin(self.out)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Struct<'a>, CanonicalError> {
        if name == JSON_NUMBER { Ok(Struct::Number(self.out)) } else { Object::begin(self.out).map(Struct::Object) }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'a>, CanonicalError> {
        Self::variant(self.out, variant)?;
        let mut object = Object::begin(self.out)?;
        object.wrapped = true;
        Ok(object)
    }
}

/// A struct, or a number that `serde_json` disguises as one.
pub(crate) enum Struct<'a> {
    Object(Object<'a>),
    Number(&'a mut Out),
}

impl ser::SerializeStruct for Struct<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        match self {
            Self::Object(object) => object.member(key, value),
            Self::Number(out) => number(out, value),
        }
    }

    fn end(self) -> Done {
        match self {
            Self::Object(object) => object.end(),
            Self::Number(_) => Ok(()),
        }
    }
}

/// Takes a number that comes as a string of digits.
fn number<T: Serialize + ?Sized>(out: &mut Out, value: &T) -> Done {
    let at = out.text.len();
    value.serialize(Writer { out })?;
    let text: Vec<u8> = out.text.drain(at..).collect();
    let digits = std::str::from_utf8(&text).unwrap_or_default().trim_matches('"');
    let number: i64 = digits.parse().map_err(|_| CanonicalError::Float)?;
    out.signed(number)
}

macro_rules! arrays {
    ($($name:ident $method:ident),*) => {
        $(impl ser::$name for Array<'_> {
            type Ok = ();
            type Error = CanonicalError;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done { self.element(value) }
            fn end(self) -> Done { self.finish() }
        })*
    };
}
arrays!(SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

impl ser::SerializeStructVariant for Object<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.member(key, value)
    }

    fn end(self) -> Done {
        Object::end(self)
    }
}

impl Object<'_> {
    fn map_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<usize, CanonicalError> {
        let name = key.serialize(Key)?;
        Ok(self.name(&name))
    }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        let at = self.map_key(key)?;
        self.pending = Some(at);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        let at = self.pending.take().ok_or(CanonicalError::Key)?;
        // The value's own members come and go; the name of this one must outlive them.
        let key = self.key;
        value.serialize(Writer { out: self.out })?;
        self.key = key;
        self.keep(at)
    }

    fn end(self) -> Done {
        Object::end(self)
    }
}

/// Turns a map's key into a member's name.
struct Key;

macro_rules! number_keys {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<String, CanonicalError> { Ok(value.to_string()) })*
    };
}

macro_rules! no_keys {
    ($($method:ident($($type:ty),*) -> $ok:ty),* $(,)?) => {
        $(fn $method(self, $(_: $type),*) -> Result<$ok, CanonicalError> { Err(CanonicalError::Key) })*
    };
}

type Never = ser::Impossible<String, CanonicalError>;

impl Serializer for Key {
    type Ok = String;
    type Error = CanonicalError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    number_keys! {
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_char(char), serialize_str(&str),
    }

    no_keys! {
        serialize_bool(bool) -> String, serialize_f32(f32) -> String, serialize_f64(f64) -> String,
        serialize_bytes(&[u8]) -> String, serialize_none() -> String, serialize_unit() -> String,
        serialize_unit_struct(&'static str) -> String,
        serialize_seq(Option<usize>) -> Never, serialize_tuple(usize) -> Never,
        serialize_tuple_struct(&'static str, usize) -> Never,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never,
        serialize_map(Option<usize>) -> Never, serialize_struct(&'static str, usize) -> Never,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never,
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String, CanonicalError> {
        Ok(variant.to_owned())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, CanonicalError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<String, CanonicalError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, CanonicalError> {
        Err(CanonicalError::Key)
    }
}
