//! Freehold.

pub mod cli;
pub mod config;
pub mod control;
pub mod lock;
pub mod out;
