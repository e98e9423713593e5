//! `[[issuer]]`: who is trusted to prove identities.

use super::files::{self, readable};
use super::keys::Presence::{Default, Optional, Required};
use super::keys::{Form, Key, Kind, Section, nearest};
use super::read::{Document, Reading, Table};
use super::resolve;
use vestibule_core::IdentityKind;
use vestibule_identity::IssuerConfig;

/// `[[issuer]]`
pub static ISSUER: Section = Section {
    name: "issuer",
    form: Form::Many { min: 1 },
    help: "an identity provider or workload platform whose tokens are trusted",
    keys: &[
        key(
            "name",
            Kind::Name,
            Required,
            "Its name in policies and records: identities are `name|subject`. Never change it.",
        ),
        key("issuer", Kind::Text, Required, "Its issuer URL, exactly as the `iss` of its tokens has it."),
        key("audience", Kind::Text, Required, "What `aud` of its tokens must contain."),
        key(
            "client_id",
            Kind::Text,
            Optional,
            "Client that `vestibule login` uses there. Without it, nobody can log in by browser.",
        ),
        key("kind", Kind::Choice(&["person", "service", "agent"]), Default("person"), "What its identities are."),
        key(
            "algorithms",
            Kind::Texts,
            Optional,
            "Signature algorithms it may use. Default: RS256, PS256, ES256, EdDSA.",
        ),
        key(
            "jwks_file",
            Kind::Path,
            Optional,
            "Its keys (JWKS) in a file, for issuers that cannot be reached. Default: discovery.",
        ),
        key(
            "ca_file",
            Kind::Path,
            Optional,
            "Certificates in PEM that its web server's chain must end in. Default: those of the system.",
        ),
        key("groups_claim", Kind::Text, Default("groups"), "Claim that holds the groups."),
    ],
};

const fn key(name: &'static str, kind: Kind, presence: super::keys::Presence, help: &'static str) -> Key {
    Key { name, kind, presence, help }
}

pub(super) fn issuers(doc: &Document<'_>, reading: &Reading<'_>) -> Vec<IssuerConfig> {
    let tables = doc.sections(reading, &ISSUER);
    resolve::unique(&tables, "issuer");
    tables.iter().filter_map(issuer).collect()
}

fn issuer(_table: &Table<'_>) -> Option<IssuerConfig> {
    None
}

pub(super) fn describe(_issuer: &IssuerConfig) -> String {
    String::new()
}
