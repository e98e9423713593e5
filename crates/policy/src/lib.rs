//! Request to Decision, with Cedar. Pure, total, synchronous
