//! The server: configuration, command line and wiring, as a library so that tests can reach its parts.

pub mod boot;
pub mod certificates;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod doctor;
pub mod failure;
mod listeners;
pub mod lock;
pub mod logging;
pub mod open_files;
pub mod out;
mod rules;
pub mod serve;
pub mod verbs;
