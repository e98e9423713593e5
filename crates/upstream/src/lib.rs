//! Target credentials, TLS and dialling
