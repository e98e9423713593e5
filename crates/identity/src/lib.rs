//! Proof (OIDC, workload token, Vestibule token) to Identity
