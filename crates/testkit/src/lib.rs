//! What every interpreter must satisfy, written once; fakes
