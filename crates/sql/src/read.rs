//! From text to statements.

use crate::literals::Literals;
use crate::names::Reader;
use crate::utility::Told;
use crate::{Output, ReadError, Scope, Script, SessionChange, Statement};
use aws_lc_rs::digest;
use pg_query::protobuf::RawStmt;
use pg_query::{NodeEnum, ParseResult, ParserOptions};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use vestibule_core::{Effect, Operation, traits};

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The most tokens: what is made of a token takes hundreds of bytes.
const MAX_TOKENS: usize = 400_000;

/// The most statements in one text.
const MAX_STATEMENTS: usize = 10_000;

/// How deep brackets may nest before the parser, which is written in C, is given the text.
const MAX_BRACKETS: usize = 1_000;

/// Reads what a client wrote.
///
/// # Errors
/// [`ReadError`] if it is no SQL that PostgreSQL's parser accepts, or is too long or nested too deeply to be read.
pub fn read(text: &str, scope: &Scope<'_>) -> Result<Script, ReadError> {
    if text.len() > MAX_BYTES || brackets(text) > MAX_BRACKETS {
        return Err(ReadError::TooComplex);
    }
    // The scanner's binding must not be given a text without a token.
    if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)) {
        return Ok(Script { statements: Vec::new() });
    }
    let literals = Literals::scan(text, scope.standard_strings);
    if literals.tokens() > MAX_TOKENS {
        return Err(ReadError::TooComplex);
    }
    let parsed = parse(text, scope.standard_strings)?;
    if parsed.protobuf.stmts.is_empty() {
        // The scanner must not be asked where there is no token: it hands back a null pointer for none.
        return Ok(Script { statements: Vec::new() });
    }
    if parsed.protobuf.stmts.len() > MAX_STATEMENTS {
        return Err(ReadError::TooComplex);
    }
    let statements = parsed.protobuf.stmts.iter().map(|raw| one(text, raw, scope, &literals));
    Ok(Script { statements: statements.collect::<Result<_, _>>()? })
}

/// Parses, and leaves the parser as it was found. Where it refuses a text it keeps, on this thread, what it was told of
/// strings; the scanner, which cannot be told, would find the literals of the next text by that, whosever it is.
fn parse(text: &str, standard_strings: bool) -> Result<ParseResult, ReadError> {
    if standard_strings {
        return pg_query::parse(text, ParserOptions::DEFAULT).map_err(parse_error);
    }
    let parsed = pg_query::parse(text, ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS);
    if parsed.is_err() {
        drop(pg_query::parse("SELECT 1", ParserOptions::DEFAULT));
    }
    parsed.map_err(parse_error)
}

fn parse_error(error: pg_query::Error) -> ReadError {
    match error {
        pg_query::Error::Decode(_) => ReadError::TooComplex,
        pg_query::Error::Parse(message) if message.contains("stack depth") || message.contains("memory exhausted") => {
            ReadError::TooComplex
        }
        pg_query::Error::Parse(message) => ReadError::Syntax { message, at: None },
        pg_query::Error::Conversion(nul) => {
            let at = Some(nul.nul_position());
            ReadError::Syntax { message: "a statement holds no zero byte".to_owned(), at }
        }
        other => ReadError::Syntax { message: other.to_string(), at: None },
    }
}

/// The deepest nesting of brackets, those inside strings and comments included: an upper bound.
fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn one(text: &str, raw: &RawStmt, scope: &Scope<'_>, literals: &Literals) -> Result<Statement, ReadError> {
    let span = span(text, raw);
    let node = raw.stmt.as_deref().and_then(|node| node.node.as_ref());
    match node {
        Some(NodeEnum::PrepareStmt(prepare)) => {
            let inner = prepare.query.as_deref().and_then(|query| query.node.as_ref());
            let inner = described(text, &span, inner, scope, literals)?;
            let mut outer = inner.clone();
            outer.operation.action = Cow::Borrowed("PREPARE");
            outer.operation.effect = Effect::Open;
            outer.operation.traits = {
                let mut facts = vestibule_core::OpTraits::default();
                facts.insert(traits::PREPARE_ONLY);
                Arc::new(facts)
            };
            outer.operation.resources = Arc::from([]);
            outer.output = Output::None;
            outer.session = SessionChange::Prepare(prepare.name.clone(), Box::new(inner));
            Ok(outer)
        }
        node => described(text, &span, node, scope, literals),
    }
}

fn described(
    text: &str,
    span: &Range<usize>,
    node: Option<&NodeEnum>,
    scope: &Scope<'_>,
    literals: &Literals,
) -> Result<Statement, ReadError> {
    let own = text.get(span.clone()).unwrap_or_default();
    let steps = u32::try_from(own.len()).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(300_000);
    let mut reader = Reader::new(scope, literals.part(span), steps);
    if scope.catalog.is_none() {
        reader.facts.touched_unknown = true;
    }
    let told = match node {
        Some(node) => reader.statement(node)?,
        None => Told::new("EMPTY"),
    };
    let secret = may_hold_secrets(node) || reader.facts.traits.contains(traits::DANGEROUS_FUNCTION);
    let operation = Operation {
        effect: reader.facts.effect,
        action: told.action,
        resources: reader.facts.resources(),
        text: Some(Arc::from(own)),
        literals: Arc::from(reader.literals.within(span, secret)),
        reading: reader.facts.reading(),
        traits: Arc::new(reader.facts.op_traits()),
        shape: Some(shape(own, scope)),
    };
    Ok(Statement { span: span.clone(), operation, output: told.output, session: told.session, copy: told.copy })
}

/// Whether the constants of a statement may be passwords, keys or connection strings.
const fn may_hold_secrets(node: Option<&NodeEnum>) -> bool {
    matches!(
        node,
        Some(
            NodeEnum::CreateRoleStmt(_)
                | NodeEnum::AlterRoleStmt(_)
                | NodeEnum::AlterRoleSetStmt(_)
                | NodeEnum::CreateSubscriptionStmt(_)
                | NodeEnum::AlterSubscriptionStmt(_)
                | NodeEnum::CreateUserMappingStmt(_)
                | NodeEnum::AlterUserMappingStmt(_)
                | NodeEnum::CreateForeignServerStmt(_)
                | NodeEnum::AlterForeignServerStmt(_)
                | NodeEnum::AlterSystemStmt(_)
        )
    )
}

/// The bytes of a statement, without the blanks around it.
fn span(text: &str, raw: &RawStmt) -> Range<usize> {
    let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(text.len());
    let length = usize::try_from(raw.stmt_len).unwrap_or(0);
    let end = if length == 0 { text.len() } else { start.saturating_add(length).min(text.len()) };
    let Some(own) = text.get(start..end) else { return 0..text.len() };
    let before = own.len() - own.trim_start().len();
    let kept = own.trim().len();
    start + before..start + before + kept
}

/// Equal for equal texts that mean the same.
fn shape(text: &str, scope: &Scope<'_>) -> [u8; 16] {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(text.as_bytes());
    part(&[u8::from(scope.standard_strings)]);
    part(scope.catalog.map_or("", |catalog| catalog.digest()).as_bytes());
    scope.search_path.iter().for_each(|schema| part(schema.as_bytes()));
    let full = hash.finish();
    let mut short = [0; 16];
    short.iter_mut().zip(full.as_ref()).for_each(|(to, from)| *to = *from);
    short
}
