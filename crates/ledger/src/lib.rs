//! Merkle log, checkpoints, proofs and offline verification
