//! The promised numbers, each a ratio taken in one interleaved run; prints one table. `benches/README.md` says how.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench fails by panicking, rounds as it divides, makes its own servers and prints what it found"
)]

mod counters;
mod enumeration;
mod estate;
mod load;
mod machine;
mod memory;
mod outbound;
mod p10;
mod p14;
mod p5;
mod p6;
mod p8;
mod p9;
mod process;
mod reference;
mod sessions;
mod slow;
mod table;
mod wire;

use std::panic::catch_unwind;

use crate::table::Row;

const HELP: &str = "\
cargo bench --bench goals -- [GOAL...] [--short] [--tenants=N] [--dormant=N]

  GOAL         p2 p3 p4 p5 p6 p8 p9 p10 p14 outbound counters slow enumeration; all of them when none is named
  --short      fewer and shorter rounds: shows that it works, not how well
  --tenants=N  active tenants of p6 (2000)
  --dormant=N  dormant tenants of p6 (100000)";

/// What was asked for.
#[derive(Clone, Copy)]
struct Options {
    short: bool,
    tenants: usize,
    dormant: usize,
}

impl Options {
    /// How often each side has its turn.
    const fn rounds(self, usual: usize) -> usize {
        if self.short { 3 } else { usual }
    }
}

type Goal = (&'static str, fn(Options) -> Vec<Row>);

const GOALS: [Goal; 13] = [
    ("p2", sessions::seen),
    ("p3", sessions::unseen),
    ("p4", sessions::everything_on),
    ("p5", p5::sign_ins),
    ("p6", p6::memory),
    ("p8", p8::rotations),
    ("p9", p9::neighbours),
    ("p10", p10::panics),
    ("p14", p14::webhooks),
    ("outbound", outbound::failing),
    ("counters", counters::shared),
    ("slow", slow::clients),
    ("enumeration", enumeration::differences),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = args.first().and_then(|first| first.strip_prefix(reference::FLAG)) {
        return reference::play(role, &args[1..]);
    }
    let mut options = Options { short: false, tenants: 2_000, dormant: 100_000 };
    let mut chosen = vec![];
    let mut asked = false;
    for arg in &args {
        match arg.split_once('=').unwrap_or((arg, "")) {
            ("--bench", _) => asked = true, // Cargo's: without it, `cargo test --all-targets` runs us
            ("--short", _) => options.short = true,
            ("--tenants", n) => options.tenants = n.parse().unwrap(),
            ("--dormant", n) => options.dormant = n.parse().unwrap(),
            (name, "") if GOALS.iter().any(|(goal, _)| goal.eq_ignore_ascii_case(name)) => {
                chosen.push(name.to_lowercase());
            }
            _ => return println!("{HELP}"),
        }
    }
    if !asked && chosen.is_empty() {
        return println!("{HELP}");
    }
    let mut rows = vec![];
    for (name, measure) in GOALS {
        if !chosen.is_empty() && !chosen.iter().any(|goal| goal == name) {
            continue;
        }
        eprintln!("{name}:");
        match catch_unwind(move || measure(options)) {
            Ok(measured) => rows.extend(measured),
            Err(_) => rows.push(Row::unmeasured(name, "the measurement failed: see above")),
        }
    }
    table::print(&rows, options.short);
}
