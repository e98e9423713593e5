//! Statement texts and what they say, read once a scope.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use vestibule_core::{Effect, Literal, OpTraits, Operation, Reading, traits};
use vestibule_sql::{Catalog, Output, ReadError, Scope, SessionChange, Statement};

use super::likeness::likeness;
use super::rows::Planned;

/// Most texts kept, and most bytes of them.
const MOST_TEXTS: usize = 2_048;
const MOST_BYTES: usize = 8 << 20;
/// A longer text is read each time.
const LONGEST: usize = 256 << 10;

/// One statement and what is remembered of it.
#[derive(Debug)]
pub(super) struct Meant {
    pub statement: Statement,
    /// What `PREPARE` prepares.
    pub inner: Option<Arc<Meant>>,
    /// The last plan of its rows.
    pub planned: Mutex<Option<Planned>>,
    /// Why it could not be read.
    pub unread: Option<ReadError>,
    /// The statement that it is like but for its numbers: its output and its plan are that one's.
    pub like: Option<Arc<Meant>>,
}

impl Meant {
    fn new(statement: Statement) -> Arc<Self> {
        let inner = match &statement.session {
            SessionChange::Prepare(_, inner) => Some(Self::new((**inner).clone())),
            _ => None,
        };
        Arc::new(Self { statement, inner, planned: Mutex::new(None), unread: None, like: None })
    }

    /// Whether texts that differ only in these numbers mean the same: a plain read that was wholly understood, whose
    /// literals are these numbers and nothing else.
    fn is_model(&self, numbers: &[Range<usize>]) -> bool {
        let Statement { span, operation, session, copy, output } = &self.statement;
        let literals = operation.literals.iter().map(|l| Some(l.span.clone()));
        let numbers = numbers.iter().map(|n| within(n, span));
        operation.effect == Effect::Read
            && operation.reading == Reading::Exact
            && *session == SessionChange::None
            && copy.is_none()
            && matches!(output, Output::Columns(_))
            && literals.eq(numbers)
    }

    /// The meaning of a text that is like a model's but for its numbers.
    fn like(model: &Arc<Self>, text: &[u8], numbers: &[Range<usize>]) -> Option<Arc<Self>> {
        let known = &model.statement.operation;
        let text = std::str::from_utf8(text).ok()?;
        // The statement begins where the model's does, before its first number; its end moves with the numbers.
        let start = model.statement.span.start;
        let grown = numbers.last()?.end.checked_sub(start)?;
        let tail = model.statement.span.len().checked_sub(known.literals.last()?.span.end)?;
        let span = start..start.checked_add(grown)?.checked_add(tail)?;
        let literals = known
            .literals
            .iter()
            .zip(numbers)
            .map(|(literal, number)| Some(Literal { span: within(number, &span)?, ..literal.clone() }))
            .collect::<Option<Arc<[Literal]>>>()?;
        let operation = Operation { text: Some(Arc::from(text.get(span.clone())?)), literals, ..known.clone() };
        // Its own output is never looked at; were it, nothing would be known of it.
        let (output, session) = (Output::Unknown, SessionChange::None);
        let statement = Statement { span, operation, output, session, copy: None };
        let like = Some(Arc::clone(model));
        Some(Arc::new(Self { statement, inner: None, planned: Mutex::new(None), unread: None, like }))
    }

    /// A text without a statement, prepared.
    pub fn nothing() -> Arc<Self> {
        let operation = Operation::bare(Effect::Open, "");
        Self::new(Statement { span: 0..0, operation, output: Output::None, session: SessionChange::None, copy: None })
    }

    /// Whether it is such a text: there is nothing to ask.
    pub fn is_nothing(&self) -> bool {
        self.statement.operation.action.is_empty()
    }

    /// A text of which nothing is known.
    pub fn opaque(text: &[u8]) -> Arc<Self> {
        Self::unread(&String::from_utf8_lossy(text), None)
    }

    fn unread(text: &str, why: Option<ReadError>) -> Arc<Self> {
        let mut known = OpTraits::default();
        known.insert(traits::DYNAMIC_CODE);
        let secret = text.to_ascii_lowercase().contains("password");
        let operation = Operation {
            effect: Effect::Execute,
            action: "STATEMENT".into(),
            resources: Arc::from([]),
            text: Some(Arc::from(text)),
            literals: Arc::from([Literal { span: 0..text.len(), columns: Arc::from([]), harmless: false, secret }]),
            reading: Reading::Opaque,
            traits: Arc::new(known),
            shape: None,
        };
        let statement = Statement {
            span: 0..text.len(),
            operation,
            output: Output::Unknown,
            session: SessionChange::Role,
            copy: None,
        };
        Arc::new(Self { statement, inner: None, planned: Mutex::new(None), unread: why, like: None })
    }
}

/// A range of a text as one of the statement in it.
fn within(range: &Range<usize>, statement: &Range<usize>) -> Option<Range<usize>> {
    let end = range.end.checked_sub(statement.start).filter(|end| *end <= statement.len())?;
    Some(range.start.checked_sub(statement.start)?..end)
}

/// What one text says.
#[derive(Debug)]
pub(super) struct Said {
    pub bytes: Box<[u8]>,
    pub meant: Vec<Arc<Meant>>,
}

/// The texts read so far, by scope.
#[derive(Debug, Default)]
pub(super) struct Texts {
    known: HashMap<u32, HashMap<Box<[u8]>, Arc<Said>>>,
    /// By scope and text without numbers.
    alike: HashMap<u32, HashMap<Vec<u8>, Arc<Meant>>>,
    count: usize,
    bytes: usize,
}

impl Texts {
    /// What `text` says in `scope`, whose number is `key`. `readable`: the client's encoding is one whose bytes mean
    /// what they seem to.
    pub fn read(&mut self, key: u32, text: &[u8], scope: &Scope<'_>, readable: bool) -> Arc<Said> {
        if let Some(said) = self.known.get(&key).and_then(|texts| texts.get(text)) {
            return Arc::clone(said);
        }
        let likeness = likeness(text);
        if let Some((like, numbers)) = &likeness
            && let Some(model) = self.alike.get(&key).and_then(|texts| texts.get(like))
            && let Some(meant) = Meant::like(model, text, numbers)
        {
            return Arc::new(Said { bytes: text.into(), meant: vec![meant] });
        }
        let said = Arc::new(Said { bytes: text.into(), meant: meant(text, scope, readable) });
        if let (Some((like, numbers)), [model]) = (likeness, said.meant.as_slice())
            && model.is_model(&numbers)
        {
            self.make_room(like.len());
            self.alike.entry(key).or_default().insert(like, Arc::clone(model));
        } else if text.len() <= LONGEST {
            self.keep(key, &said);
        }
        said
    }

    fn make_room(&mut self, len: usize) {
        if self.count >= MOST_TEXTS || self.bytes >= MOST_BYTES {
            *self = Self::default();
        }
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len);
    }

    fn keep(&mut self, key: u32, said: &Arc<Said>) {
        self.make_room(said.bytes.len());
        self.known.entry(key).or_default().insert(said.bytes.clone(), Arc::clone(said));
    }
}

fn meant(text: &[u8], scope: &Scope<'_>, readable: bool) -> Vec<Arc<Meant>> {
    match std::str::from_utf8(text) {
        Ok(text) if readable || text.is_ascii() => match vestibule_sql::read(text, scope) {
            Ok(script) => script.statements.into_iter().map(Meant::new).collect(),
            Err(why) => vec![Meant::unread(text, Some(why))],
        },
        _ => vec![Meant::opaque(text)],
    }
}

/// What a scope depends on: the catalog's version, the path, how strings are written, whether they can be read.
type Key = (u64, Option<Vec<String>>, bool, bool);

/// What names mean to the server at the moment, as far as it has been told.
#[derive(Debug)]
pub(super) struct Names {
    /// The effective search path; `None`: it must be asked.
    pub path: Option<Vec<String>>,
    pub standard_strings: bool,
    /// Whether the client's bytes are read as they stand. In another encoding the second byte of a character can look
    /// like a quote, and a name is another one than it seems; there only ASCII is read.
    pub readable: bool,
    /// Whether the settings changed in the transaction under way, so that its end changes them back.
    pub touched: bool,
    /// Whether temporary relations may hide others, so that only what the server itself says of a column counts.
    pub shadowed: bool,
    /// The session's user.
    user: String,
    numbers: HashMap<Key, u32>,
    number: Option<u32>,
    next: u32,
}

impl Names {
    pub fn new(path: Option<&str>, user: &str) -> Self {
        Self {
            path: path.and_then(|path| path_setting(path, user)),
            user: user.to_owned(),
            standard_strings: true,
            readable: true,
            touched: false,
            shadowed: false,
            numbers: HashMap::new(),
            number: None,
            next: 0,
        }
    }

    /// The target said what a parameter is.
    pub fn parameter(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => self.standard_strings = value == b"on",
            b"client_encoding" => self.readable = value == b"UTF8" || value == b"SQL_ASCII",
            b"search_path" => self.path = None,
            b"session_authorization" => {
                self.user = String::from_utf8_lossy(value).into_owned();
                self.path = None;
            }
            _ => return,
        }
        self.number = None;
    }

    /// The path is not known any more.
    pub fn doubt(&mut self) {
        self.path = None;
        self.number = None;
    }

    /// The settings as the server says them: `search_path`, and `role`, whose name stands for `$user`.
    pub fn learn(&mut self, path: &str, role: &[u8]) {
        let role = String::from_utf8_lossy(role);
        let user = if role == "none" { self.user.as_str() } else { &role };
        self.path = Some(path_setting(path, user).unwrap_or_default());
        self.number = None;
    }

    /// The catalog changed.
    pub const fn renumber(&mut self) {
        self.number = None;
    }

    /// A number that is equal for equal scopes.
    pub fn number(&mut self, catalog_version: u64) -> u32 {
        if let Some(number) = self.number {
            return number;
        }
        if self.numbers.len() > 256 {
            // Numbers are never reused, so texts read under forgotten ones are only read again.
            self.numbers.clear();
        }
        let key = (catalog_version, self.path.clone(), self.standard_strings, self.readable);
        let next = &mut self.next;
        let number = *self.numbers.entry(key).or_insert_with(|| {
            *next = next.wrapping_add(1);
            *next
        });
        self.number = Some(number);
        number
    }

    /// The scope to read in.
    pub fn scope<'a>(&'a self, catalog: Option<&'a Catalog>) -> Scope<'a> {
        Scope {
            catalog,
            search_path: self.path.as_deref().unwrap_or_default(),
            standard_strings: self.standard_strings,
        }
    }
}

/// Reads a `search_path` setting: `"$user", public`.
pub(super) fn path_setting(text: &str, user: &str) -> Option<Vec<String>> {
    let names = list(text)?.into_iter().map(|name| if name == "$user" { user.to_owned() } else { name });
    Some(names.filter(|name| !name.is_empty()).collect())
}

/// Names with commas between them, some in double quotes.
fn list(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut name = String::new();
        match rest.peek() {
            None if names.is_empty() => return Some(names),
            None => return None,
            Some('"') => {
                rest.next();
                loop {
                    match rest.next()? {
                        '"' if rest.peek() == Some(&'"') => name.push(rest.next()?),
                        '"' => break,
                        c => name.push(c),
                    }
                }
            }
            Some(_) => {
                while let Some(c) = rest.next_if(|c| *c != ',' && !c.is_whitespace()) {
                    name.push(c);
                }
            }
        }
        names.push(name);
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.next() {
            None => return Some(names),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, path_setting};

    #[test]
    fn paths_are_read_as_the_server_writes_them() {
        assert_eq!(path_setting(r#""$user", public"#, "app").unwrap(), ["app", "public"]);
        assert_eq!(path_setting(r#""a""b", c"#, "app").unwrap(), ["a\"b", "c"]);
        assert_eq!(path_setting("", "app"), Some(vec![]));
        assert_eq!(path_setting("a b", "app"), None);
        let mut names = Names::new(None, "app");
        names.learn("\"$user\"", b"none");
        assert_eq!(names.path.as_deref(), Some(&["app".to_owned()][..]));
        names.learn("\"$user\"", b"boss");
        assert_eq!(names.path.as_deref(), Some(&["boss".to_owned()][..]));
    }

    #[test]
    fn equal_scopes_have_equal_numbers() {
        let mut names = Names::new(Some("public"), "app");
        let first = names.number(1);
        names.learn("other", b"none");
        assert_ne!(names.number(1), first);
        names.learn("public", b"none");
        assert_eq!(names.number(1), first);
        names.renumber();
        assert_ne!(names.number(2), first);
        names.parameter(b"client_encoding", b"SJIS");
        assert!(!names.readable);
    }
}
