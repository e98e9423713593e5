//! Session parameters that a client may bring along at login.
//!
//! They reach the target without a statement that a policy could judge, so only those pass that change how values are
//! written, how long the client is ready to wait, and how the session is called. Whatever else a client wants it sets
//! after the login, where the statement is judged.

use super::bearer::Bearer;
use super::startup::Refused;
use std::collections::BTreeMap;

/// Asks for a login by OAUTHBEARER; for the gateway, never passed on.
const OAUTH: &str = "vestibule.oauth";

/// Longest value.
const LONGEST: usize = 1_024;

/// What a value may be.
enum Values {
    Any,
    /// One of these words, in any case.
    Of(&'static [&'static str]),
    /// UTF-8 by any of its names: masks and statements are read and written in it.
    Utf8,
}

/// INVARIANT: nothing here changes who the session is, what a name other than through `search_path` means, how a
/// statement is parsed, or what is written into the target's log.
const ALLOWED: [(&str, Values); 16] = [
    ("application_name", Values::Any),
    ("bytea_output", Values::Of(&["hex", "escape"])),
    ("client_encoding", Values::Utf8),
    ("client_min_messages", Values::Of(&["notice", "warning", "error"])),
    ("DateStyle", Values::Any),
    ("default_transaction_isolation", Values::Any),
    // Off would lift what the target's own administrators may have set for the account.
    ("default_transaction_read_only", Values::Of(&["on", "true", "yes", "1"])),
    ("extra_float_digits", Values::Any),
    ("geqo", Values::Any),
    ("idle_in_transaction_session_timeout", Values::Any),
    ("IntervalStyle", Values::Any),
    ("lock_timeout", Values::Any),
    ("search_path", Values::Any),
    // Off changes where a string ends.
    ("standard_conforming_strings", Values::Of(&["on", "true", "yes", "1"])),
    ("statement_timeout", Values::Any),
    ("TimeZone", Values::Any),
];

/// The parameters taken so far, by the names PostgreSQL gives them.
#[derive(Default)]
pub(super) struct Parameters {
    taken: BTreeMap<String, String>,
    bearer: Option<Option<Bearer>>,
}

impl Parameters {
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        if name.eq_ignore_ascii_case(OAUTH) {
            let bearer = Bearer::parse(value).map_err(|wanted| bad_value(OAUTH, wanted))?;
            self.bearer = Some(bearer);
            return Ok(());
        }
        let Some((name, values)) = ALLOWED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
            return Err(refused(name));
        };
        if value.len() > LONGEST || value.chars().any(char::is_control) {
            return Err(bad_value(name, "shorter text without control characters"));
        }
        let value = match values {
            Values::Any => value.to_owned(),
            Values::Of(words) if words.iter().any(|word| word.eq_ignore_ascii_case(value)) => value.to_owned(),
            Values::Of(words) => return Err(bad_value(name, &words.join(" or "))),
            Values::Utf8 if utf8(value) => "UTF8".to_owned(),
            Values::Utf8 => return Err(bad_value(name, "UTF8 (set PGCLIENTENCODING=UTF8, for example)")),
        };
        self.taken.insert((*name).to_owned(), value);
        Ok(())
    }

    pub(super) fn take_unless_there(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        let mut alone = Self::default();
        alone.take(name, value)?;
        for (name, value) in alone.taken {
            self.taken.entry(name).or_insert(value);
        }
        self.bearer = self.bearer.take().or(alone.bearer);
        Ok(())
    }

    pub(super) fn finish(self) -> (BTreeMap<String, String>, Option<Bearer>) {
        (self.taken, self.bearer.flatten())
    }
}

/// Whether a client encoding is UTF-8. `SQL_ASCII` is what a client says that does not know its own.
fn utf8(value: &str) -> bool {
    let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    ["utf8", "unicode", "sqlascii"].iter().any(|name| plain.eq_ignore_ascii_case(name))
}

fn refused(name: &str) -> Refused {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let identity = ["role", "session_authorization", "session_replication_role"];
    let remedy = if identity.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        "remove it: as whom the session works at the target is not the client's choice".to_owned()
    } else {
        format!("remove it, or set it after the login with `SET {name} = …`, where a policy can judge it")
    };
    Refused::parameter(format!("the parameter `{name}` is not passed on at login"), remedy)
}

fn bad_value(name: &str, wanted: &str) -> Refused {
    Refused::parameter(
        format!("the parameter `{name}` has a value that is not passed on"),
        format!("allowed is {wanted}"),
    )
}

/// The settings in `options`: words as a server splits them, each `-c name=value` or `--name=value`.
pub(super) fn options(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut settings = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--") {
            Some(setting) => Some(setting.to_owned()),
            None => match word.strip_prefix("-c") {
                Some("") => words.next(),
                Some(setting) => Some(setting.to_owned()),
                None => None,
            },
        };
        let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('=')) else {
            return Err(Refused::parameter(
                "`options` holds something else than settings".to_owned(),
                "write only `-c name=value` in it".to_owned(),
            ));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Words between white space; a backslash takes the next character as it is.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        // The white space of C's `isspace`, in which vertical tab is one.
        match c {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            '\\' => {
                let word = word.get_or_insert_default();
                word.extend(chars.next());
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<BTreeMap<String, String>, String> {
        let mut parameters = Parameters::default();
        let settings = options(text).map_err(|r| r.refusal.message)?;
        for (name, value) in settings {
            parameters.take_unless_there(&name, &value).map_err(|r| r.refusal.message)?;
        }
        Ok(parameters.finish().0)
    }

    #[test]
    fn options_are_read_as_a_server_reads_them() {
        let read =
            taken(r"  -c application-name=a\ b -ctimezone=UTC --statement-timeout=5s	-c datestyle=ISO,\ MDY ").unwrap();
        let pairs: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [("DateStyle", "ISO, MDY"), ("TimeZone", "UTC"), ("application_name", "a b"), ("statement_timeout", "5s")]
        );
        assert!(taken("").unwrap().is_empty());
    }

    #[test]
    fn what_could_change_who_or_what_a_session_is_does_not_pass() {
        for evil in [
            "-c session_replication_role=replica",
            "-c ROLE=postgres",
            "--session-authorization=postgres",
            r"-c r\ole=postgres",
            "-crole=postgres",
            "-c row_security=off",
            "-c standard_conforming_strings=off",
            "-c backslash_quote=on",
            "-c client_encoding=SJIS",
            "-c client_encoding=GB18030",
            "-c client_min_messages=debug5",
            "-c default_transaction_read_only=off",
            "-c local_preload_libraries=x",
            "-c log_statement=all",
            "-c vestibule.oauth=http://evil",
            "-c",
            "-c role",
            "-d 5",
            "role=postgres",
            "-c application_name=a\u{1}",
        ] {
            assert!(taken(evil).is_err(), "{evil}");
        }
    }

    #[test]
    fn a_client_without_a_locale_talks_utf8() {
        for name in ["UTF8", "utf-8", "UNICODE", "SQL_ASCII", "'utf8'"] {
            assert_eq!(taken(&format!("-c client_encoding={name}")).unwrap()["client_encoding"], "UTF8");
        }
    }
}
