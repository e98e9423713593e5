//! Reading the fields of a message, in place.

use super::malformed;
use vestibule_core::WireError;

/// A cursor over a message's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Over `body`; `what` names the message in errors.
    pub const fn new(body: &'a [u8], what: &'static str) -> Self {
        Self { rest: body, what }
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn short(&self) -> WireError {
        malformed(format!("{} ends too early", self.what))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(*first)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[b]| b)
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A count in two bytes.
    pub fn count(&mut self) -> Result<usize, WireError> {
        usize::try_from(self.i16()?).map_err(|_| malformed(format!("{} has a negative count", self.what)))
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes without a sign.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// So many bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (first, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(first)
    }

    /// A string that ends with a zero byte, without it.
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let end = self.rest.iter().position(|b| *b == 0).ok_or_else(|| self.short())?;
        let (string, rest) = self.rest.split_at_checked(end).ok_or_else(|| self.short())?;
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(string)
    }

    /// A value with its length in front; `None` is NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.i32()? {
            -1 => Ok(None),
            len => {
                let len =
                    usize::try_from(len).map_err(|_| malformed(format!("{} has a negative length", self.what)))?;
                self.take(len).map(Some)
            }
        }
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(format!("{} has bytes after its end", self.what))) }
    }
}

/// One column of a RowDescription.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    pub name: &'a [u8],
    pub table: u32,
    pub column: i16,
    pub type_oid: u32,
    pub binary: bool,
}

/// The columns of a RowDescription.
pub(crate) fn row_description(body: &[u8]) -> Result<Vec<Described<'_>>, WireError> {
    let mut reader = Reader::new(body, "RowDescription");
    let count = reader.count()?;
    let mut columns = Vec::with_capacity(count.min(body.len() / 18));
    for _ in 0..count {
        let name = reader.string()?;
        let (table, column, type_oid) = (reader.u32()?, reader.i16()?, reader.u32()?);
        reader.take(6)?;
        columns.push(Described { name, table, column, type_oid, binary: reader.i16()? == 1 });
    }
    reader.end()?;
    Ok(columns)
}

/// The fields of an ErrorResponse or NoticeResponse, in order.
pub(crate) fn error_fields(body: &[u8]) -> Result<Vec<(u8, &[u8])>, WireError> {
    let mut reader = Reader::new(body, "ErrorResponse");
    let mut fields = Vec::with_capacity(12);
    loop {
        match reader.u8()? {
            0 => return Ok(fields),
            kind => fields.push((kind, reader.string()?)),
        }
    }
}

/// One field of an ErrorResponse or NoticeResponse.
pub(crate) fn error_field<'a>(body: &'a [u8], wanted: u8) -> Option<&'a [u8]> {
    let mut reader = Reader::new(body, "ErrorResponse");
    loop {
        match reader.u8().ok()? {
            0 => return None,
            kind => {
                let text: &'a [u8] = reader.string().ok()?;
                if kind == wanted {
                    return Some(text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, error_field, error_fields, row_description};

    #[test]
    fn reads_and_never_runs_over() {
        let mut reader = Reader::new(b"\x00\x02ab\0\xff\xff\xff\xff\0\0\0\x01z", "test");
        assert_eq!(reader.count().unwrap(), 2);
        assert_eq!(reader.string().unwrap(), b"ab");
        assert_eq!(reader.value().unwrap(), None);
        assert_eq!(reader.value().unwrap(), Some(&b"z"[..]));
        assert!(reader.end().is_ok());
        assert!(reader.u8().is_err() && reader.string().is_err());
        assert!(Reader::new(b"\0\0\0\x09z", "test").value().is_err());
        assert!(Reader::new(b"\xff\xff\xff\xfe", "test").value().is_err());
        assert!(Reader::new(b"\xff\xff", "test").count().is_err());
    }

    #[test]
    fn descriptions_and_errors() {
        let mut body = vec![0, 1];
        body.extend_from_slice(b"ssn\0\0\0\x40\x00\0\x03\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01");
        let columns = row_description(&body).unwrap();
        assert_eq!((columns[0].table, columns[0].column, columns[0].type_oid), (0x4000, 3, 25));
        assert!(columns[0].binary);
        assert!(row_description(&body[..body.len() - 1]).is_err());
        let error = b"SERROR\0C42601\0Mno\0\0";
        assert_eq!(error_fields(error).unwrap().len(), 3);
        assert_eq!(error_field(error, b'C'), Some(&b"42601"[..]));
        assert_eq!(error_field(error, b'H'), None);
    }
}
