//! The certificate authority that clients trust, and the certificate that listeners show.

use super::{InitError, write_new};
use crate::config::Layout;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::ServerName;
use vestibule_core::Timestamp;

/// How long the authority is good.
const CA_YEARS: i64 = 10;
/// How long the listeners' certificate is good, in days: the longest that all clients accept.
const SERVER_DAYS: i64 = 397;

pub(super) fn make(layout: &Layout, name: &str, hosts: &[String], now: Timestamp) -> Result<(), InitError> {
    let failed = |e: rcgen::Error| InitError::Key { what: "a certificate", why: e.to_string() };
    let ca_key = KeyPair::generate().map_err(failed)?;
    let mut ca = CertificateParams::new(Vec::new()).map_err(failed)?;
    ca.distinguished_name = called(&format!("Vestibule CA of {name}"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    for_days(&mut ca, now, CA_YEARS * 365);
    let ca_cert = ca.self_signed(&ca_key).map_err(failed)?;
    let issuer = Issuer::new(ca, &ca_key);

    let server_key = KeyPair::generate().map_err(failed)?;
    let mut server = CertificateParams::new(names(hosts)?).map_err(failed)?;
    server.distinguished_name = called(hosts.first().map_or("localhost", String::as_str));
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.use_authority_key_identifier_extension = true;
    for_days(&mut server, now, SERVER_DAYS);
    let server_cert = server.signed_by(&server_key, &issuer).map_err(failed)?;

    write_new(&layout.ca_cert(), ca_cert.pem().as_bytes(), 0o644)?;
    write_new(&layout.ca_key(), ca_key.serialize_pem().as_bytes(), 0o600)?;
    write_new(&layout.server_cert(), (server_cert.pem() + &ca_cert.pem()).as_bytes(), 0o644)?;
    write_new(&layout.server_key(), server_key.serialize_pem().as_bytes(), 0o600)
}

fn names(hosts: &[String]) -> Result<Vec<String>, InitError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for host in hosts {
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(InitError::Host(host.clone()));
        }
        if !names.contains(host) {
            names.push(host.clone());
        }
    }
    Ok(names)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// Good from yesterday, for clocks that are behind, and for so many days.
fn for_days(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let ((y, m, d), (to_y, to_m, to_d)) = (day(now, -1), day(now, days));
    (params.not_before, params.not_after) = (date_time_ymd(y, m, d), date_time_ymd(to_y, to_m, to_d));
}

/// The date in UTC so many days from now.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let (_, year, month, day) = now.plus_seconds(days * 86_400).civil();
    (i32::try_from(year).unwrap_or(i32::MAX), month, day)
}
