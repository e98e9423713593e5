//! Where the constants and comments of a statement are, and which columns they meet.

use crate::flow::{Columns, Flow};
use pg_query::protobuf::Token;
use std::ops::Range;
use vestibule_core::Literal;

#[derive(Debug, Clone, Default)]
struct Constant {
    span: Range<usize>,
    columns: Columns,
    /// It meets something that is not known: then nothing is known of it.
    unknown: bool,
    harmless: bool,
}

/// The constants of a whole text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Literals {
    constants: Vec<Constant>,
    /// The constants could not be told apart: every statement is one literal.
    whole: bool,
    /// How many tokens the text has, as far as they could be told apart.
    tokens: usize,
}

impl Literals {
    /// Finds them. `plain_backslash`: whether a backslash in `'…'` is itself; the scanner knows no other way.
    pub(crate) fn scan(text: &str, plain_backslash: bool) -> Self {
        let mut whole = Self { constants: Vec::new(), whole: true, tokens: 0 };
        // Without a token the scanner hands out a null pointer, of which its binding makes a slice: undefined behaviour.
        if text.bytes().all(|byte| matches!(byte, b' ' | b'\t'..=b'\r')) {
            return Self::default();
        }
        let Ok(tokens) = pg_query::scan_tokens(text) else { return whole };
        let count = tokens.len();
        whole.tokens = count;
        if !plain_backslash && text.contains('\\') {
            return whole;
        }
        let mut constants = Vec::new();
        for token in tokens {
            let is_literal = matches!(
                Token::try_from(token.token),
                Ok(Token::Fconst
                    | Token::Sconst
                    | Token::Usconst
                    | Token::Bconst
                    | Token::Xconst
                    | Token::Iconst
                    | Token::SqlComment
                    | Token::CComment)
            );
            if !is_literal {
                continue;
            }
            match (usize::try_from(token.start), usize::try_from(token.end)) {
                (Ok(start), Ok(end)) if text.get(start..end).is_some() => {
                    constants.push(Constant { span: start..end, ..Constant::default() });
                }
                _ => return whole,
            }
        }
        Self { constants, whole: false, tokens: count }
    }

    /// How many tokens the text has.
    pub(crate) const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Those of one statement.
    pub(crate) fn part(&self, statement: &Range<usize>) -> Self {
        let from = self.constants.partition_point(|c| c.span.start < statement.start);
        let to = self.constants.partition_point(|c| c.span.start < statement.end);
        let constants = self.constants.get(from..to).unwrap_or_default().to_vec();
        Self { constants, whole: self.whole, tokens: 0 }
    }

    /// The constant at a location of the tree. A minus sign is part of the location, but not of the constant.
    fn at(&mut self, location: i32) -> Option<&mut Constant> {
        let location = usize::try_from(location).ok()?;
        let at = self.constants.partition_point(|c| c.span.start < location);
        self.constants.get_mut(at)
    }

    /// The constant there is compared with, or written to, this.
    pub(crate) fn meets(&mut self, location: i32, flow: &Flow) {
        if let Some(constant) = self.at(location) {
            match flow {
                Flow::Unknown => constant.unknown = true,
                Flow::Column(column) => constant.columns.insert(column),
                Flow::Derived(columns) => constant.columns.merge(columns),
            }
        }
    }

    /// The constant there can be no data, wherever it stands.
    pub(crate) fn harmless(&mut self, location: i32) {
        if let Some(constant) = self.at(location) {
            constant.harmless = true;
        }
    }

    /// Those inside a statement, relative to it. `secret`: it may name a password or key.
    pub(crate) fn within(&self, statement: &Range<usize>, secret: bool) -> Vec<Literal> {
        if self.whole {
            let span = 0..statement.end.saturating_sub(statement.start);
            return vec![Literal { span, columns: std::sync::Arc::from([]), harmless: false, secret }];
        }
        let inside = self.constants.iter().filter(|c| c.span.start >= statement.start && c.span.end <= statement.end);
        let relative = inside.map(|c| Literal {
            span: c.span.start - statement.start..c.span.end - statement.start,
            columns: if c.unknown { std::sync::Arc::from([]) } else { c.columns.share() },
            harmless: c.harmless,
            secret,
        });
        relative.collect()
    }
}
