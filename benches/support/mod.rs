//! What the benches share.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod bare;
pub(crate) mod generator;
pub(crate) mod machine;
