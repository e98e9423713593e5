//! Ledger and recordings to evidence packs
